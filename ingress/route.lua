-- Who serves this host? One readlink of routes/{host}: "{target}:{account}:{log}", the target being a socket's
-- name in live/, or "wait" or "disabled". No business rules here: this finds a socket, or asks the supervisor.
local balancer = require "ngx.balancer"
local ffi = require "ffi"

ffi.cdef [[ ssize_t readlink(const char *path, char *text, size_t size); ]]

local C = ffi.C
local find, sub, match = string.find, string.sub, string.match
local SIZE = 512
local text = ffi.new("char[?]", SIZE)

local settings, pages = nil, {}
local M = {}

function M.configure(given)
    settings = given
    for _, name in ipairs { "nothing", "disabled", "starting", "failed" } do
        local file = assert(io.open(given.pages .. name .. ".html"))
        pages[name] = file:read("*a")
        file:close()
    end
end

-- The route of a host: target, account, log; nothing for a host without one.
local function lookup(host)
    if not host or find(host, "[^a-z0-9.-]") or find(host, "^%.") then
        return nil
    end
    local length = C.readlink(settings.routes .. host, text, SIZE)
    if length <= 0 or length == SIZE then
        return nil
    end
    return match(ffi.string(text, length), "^([^:]+):([^:]+):(.+)$")
end

local function socket_of(target)
    if target and target ~= "wait" and target ~= "disabled" then
        return "unix:" .. settings.live .. target .. ".sock"
    end
end

-- The first try goes to the host's site, the second, or the first without a site, to where requests wait.
function M.balance()
    local peer
    if not balancer.get_last_failure() then
        local var = ngx.var
        local target, account, log = lookup(var.host)
        if target then
            var.hereabouts_account, var.hereabouts_log = account, log
        end
        peer = socket_of(target)
        if peer then
            balancer.set_more_tries(1)
        end
    end
    assert(balancer.set_current_peer(peer or settings.hold))
end

function M.balance_held()
    assert(balancer.set_current_peer(ngx.ctx.peer))
end

local function show(status, name, retry_after)
    ngx.status = status
    ngx.header["Content-Type"] = "text/html; charset=utf-8"
    ngx.header["Cache-Control"] = "no-store"
    ngx.header["Retry-After"] = retry_after
    if ngx.req.get_method() ~= "HEAD" then
        ngx.header["Content-Length"] = #pages[name]
        ngx.print(pages[name])
    end
    return ngx.exit(ngx.HTTP_OK)
end

local function ask(host, seconds)
    local connection = ngx.socket.tcp()
    connection:settimeouts(1000, 1000, (seconds + 2) * 1000)
    if not connection:connect(settings.supervisor) then
        return nil
    end
    connection:send("hold " .. host .. " " .. seconds .. "\n")
    local answer = connection:receive("*l")
    connection:close()
    return answer
end

local function listens(peer)
    local connection = ngx.socket.tcp()
    connection:settimeouts(1000, 1000, 1000)
    local connected = connection:connect(peer)
    connection:close()
    return connected
end

-- Hold the request until its site serves, or explain to the visitor why it does not.
function M.hold()
    local host = ngx.var.host
    local deadline = ngx.now() + settings.hold_seconds
    repeat
        local target = lookup(host)
        if not target then
            return show(404, "nothing")
        elseif target == "disabled" then
            return show(503, "disabled")
        end
        local answer = ask(host, math.max(0.1, deadline - ngx.now()))
        local peer = socket_of(lookup(host))
        if answer == "go" and peer and listens(peer) then
            ngx.ctx.peer = peer
            return
        elseif answer == "down" and ngx.now() < deadline then
            return show(503, "failed", 10)
        end
        ngx.sleep(0.05)  -- the supervisor restarts, the route is just changing, or the server's queue is full
        ngx.update_time()
    until ngx.now() >= deadline
    return show(503, "starting", 5)
end

return M
