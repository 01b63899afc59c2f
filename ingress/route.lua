-- Who serves this host? One readlink of routes/{host}: "{target}:{account}:{log}" or "{target}:{account}:{log}:{policy}",
-- the target being a socket's name in live/, or "wait" or "disabled", the policy words such as "https,hsts=300,to=name"
-- (supervisor/routes.py). No business rules here: this finds a socket, or asks the supervisor.
local balancer = require "ngx.balancer"
local semaphore = require "ngx.semaphore"
local ffi = require "ffi"
local metrics = require "metrics"

ffi.cdef [[
ssize_t readlink(const char *path, char *text, size_t size);
typedef struct { long tv_sec, tv_nsec; } hereabouts_timespec;
int clock_gettime(int clock, hereabouts_timespec *found);
]]

local C = ffi.C
local find, match = string.find, string.match
local SIZE, LONGEST_HOST, REMEMBERED = 1024, 253, 4096
local GATED_SECONDS, AT_ONCE, MOST_AT_ONCE, PATIENCE = 2, 2, 64, 0.1
local SHORT_BODY = 16384  -- bytes, as client_body_buffer_size where requests wait
local GOLDEN = 0.6180339887498949  -- spreads numbers that follow each other evenly between 0 and 1
local text = ffi.new("char[?]", SIZE)
local GIVEN_UP = "0"  -- in the place of until when a visitor is held: he is told that the site broke off
local CLOCK_MONOTONIC, moment = 1, ffi.new("hereabouts_timespec")

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

-- Seconds on a clock that does not jump, as ngx.now's may.
local function now()
    C.clock_gettime(CLOCK_MONOTONIC, moment)
    return tonumber(moment.tv_sec) + tonumber(moment.tv_nsec) / 1e9
end

-- A function that remembers what it made of a text, so that LuaJIT compiles the rest: patterns it can't.
local function remembering(make)
    local made, count = {}, 0
    return function(given)
        local value = made[given]
        if value == nil then
            if count == REMEMBERED then
                made, count = {}, 0
            end
            value = make(given)
            made[given], count = value, count + 1
        end
        return value
    end
end

local path_of = remembering(function(host)
    return not find(host, "[^a-z0-9.-]") and not find(host, "^%.") and settings.routes .. host
end)

local parse = remembering(function(link)
    local target, account, log, policy = match(link, "^([^:]+):([^:]+):([^:]+):?(.*)$")
    if not target then
        return false
    end
    local peer = target ~= "wait" and target ~= "disabled" and "unix:" .. settings.live .. target .. ".sock"
    local hsts = match(policy, "hsts=(%d+)")
    return {
        target = target, account = account, log = log, peer = peer, policy = policy ~= "",
        since = peer and ngx.now(), at_once = 0,
        https = find("," .. policy .. ",", ",https,", 1, true) and true, to = match(policy, "to=([a-z0-9.-]+)"),
        hsts = hsts and "max-age=" .. hsts,
    }
end)

-- The route of a host: its target, account and log, and its peer where the target is a socket; or nothing.
local function lookup(host)
    local path = host and #host <= LONGEST_HOST and path_of(host)
    if path then
        local length = C.readlink(path, text, SIZE)
        return length > 0 and length < SIZE and parse(ffi.string(text, length))
    end
end

-- What holds for the host's visitors: whom to send elsewhere is told where requests wait, which keeps the usual way short.
local function policed(route, var, peer)
    local secure = var.scheme == "https"
    if secure and route.hsts then
        var.hereabouts_hsts = route.hsts
    end
    return not route.to and (secure or not route.https) and peer
end

-- The part of all connections that have gone over to the straight way.
local function moved(route)
    local age = route.since and ngx.now() - route.since
    return age and age >= 0 and age < GATED_SECONDS and math.sqrt(age / GATED_SECONDS) or 1
end

-- Slow start: whether a visitor's way to a process that this worker has just met leads through the gate. If all came at
-- once, a server that takes one connection between two rounds of requests would serve the first again and again while
-- the last wait to be let in. So connections go over to the straight way one by one, the slower the more there are.
-- WebSockets, which stay, always take that.
local function gated(route, var)
    local share = moved(route)
    if share == 1 then
        route.since = nil
        return false
    end
    return not var.http_upgrade and tonumber(var.connection) * GOLDEN % 1 >= share
end

-- Lead the request to where it waits (hold or gate), or which has it wait before it leads on: there it is silent for
-- longer than a site may be.
local function lead_to_wait(place)
    local longest = settings.hold_seconds + settings.response_seconds + 5
    assert(balancer.set_timeouts(5, longest, longest))
    assert(balancer.set_current_peer(place))
end

-- The first try goes to the host's site, the second, or the first without a site, to where requests wait.
function M.balance()
    local peer
    if not balancer.get_last_failure() then
        local var = ngx.var
        local route = lookup(var.host)
        if route then
            var.hereabouts_account, var.hereabouts_log = route.account, route.log
            metrics.began(route.log)
            peer = route.peer
            if route.policy then
                peer = policed(route, var, peer)
            end
            if peer and route.since and gated(route, var) then
                balancer.set_more_tries(1)
                return lead_to_wait(settings.gate)
            end
        end
        if peer then
            balancer.set_more_tries(1)
            return assert(balancer.set_current_peer(peer))
        end
    end
    lead_to_wait(settings.hold)
end

-- Whether the peer that was tried before may have got the request. One without a body nginx would send again all the same.
local function sent()
    return find(ngx.var.upstream_bytes_sent or "", "^[1-9]")
end

-- A site that has ended in the very moment in which its visitor was to go there: he, whose request it did not get, is
-- held again, for what is left of his time.
function M.balance_held()
    local ctx, peer = ngx.ctx, nil
    if not balancer.get_last_failure() then
        peer = ctx.peer
        if now() < ctx.deadline then
            balancer.set_more_tries(1)
        end
    else
        ngx.var.hereabouts_until = sent() and GIVEN_UP or string.format("%.3f", ctx.deadline)
        assert(balancer.recreate_request())
    end
    if peer then
        return assert(balancer.set_current_peer(peer))
    end
    lead_to_wait(settings.hold)
end

function M.balance_gated()
    local route = not balancer.get_last_failure() and lookup(ngx.var.host)
    local peer = route and route.peer
    if peer then
        balancer.set_more_tries(1)
        return assert(balancer.set_current_peer(peer))
    end
    lead_to_wait(settings.hold)
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

-- Send the visitor to HTTPS, or to the website's main name, if the route says so. The address is made of names that are
-- ours and, behind the first slash, of what was asked for, as it was sent.
local function redirect(route, host)
    local secure = ngx.var.http_x_forwarded_proto == "https"  -- set by the server in front, whatever was sent
    local leave = route.https and not secure
    if not leave and not route.to then
        return false
    end
    secure = secure or leave
    local port, usual = settings.http_port, 80
    if secure then
        port, usual = settings.https_port, 443
    end
    local method, uri = ngx.req.get_method(), ngx.var.request_uri
    ngx.header["Location"] = (secure and "https://" or "http://") .. (route.to or host)
        .. (port == usual and "" or ":" .. port) .. (find(uri, "^/") and "" or "/") .. uri
    ngx.header["Cache-Control"] = "no-store"  -- the owner may think better of it
    ngx.status = not route.to and (method == "GET" or method == "HEAD") and 301 or 308
    ngx.header["Content-Length"] = 0
    ngx.exit(ngx.HTTP_OK)
    return true
end

-- The supervisor's answer, and the connection: while that is open, nobody else who is held for this host goes on.
local function ask(host, seconds)
    local connection = ngx.socket.tcp()
    connection:settimeouts(1000, 1000, (seconds + 2) * 1000)
    if connection:connect(settings.supervisor) then
        connection:send("hold " .. host .. " " .. seconds .. " " .. ngx.req.start_time() .. "\n")
        return connection:receive("*l"), connection
    end
end

local function listens(peer)
    local connection = ngx.socket.tcp()
    connection:settimeouts(1000, 1000, 1000)
    local connected = connection:connect(peer)
    connection:close()
    return connected
end

-- Let the request through in order of arrival, so many of each worker at once; where answers take long, all the same.
-- The more have gone over, the longer a round of the server's takes; so that those who are left don't wait longer for
-- it, more of them go at once.
local function gate()
    local route = lookup(ngx.var.host)
    if route and route.peer then
        route.turns = route.turns or semaphore.new(0)
        local wanted = math.min(AT_ONCE / (1 - moved(route)), MOST_AT_ONCE)
        while route.at_once < wanted do
            route.at_once = route.at_once + 1
            route.turns:post()
        end
        ngx.ctx.turns = route.turns:wait(PATIENCE) and route.turns
    end
end

-- Its answer begins, or it has ended: the next one may go.
function M.passed()
    local turns = ngx.ctx.turns
    if turns then
        ngx.ctx.turns = nil
        turns:post()
    end
end

-- A visitor who leaves is noticed (lua_check_client_abort) unless there is a body to be read first. A short one is: in a
-- phase before, for looking out for that ends with reading, and begins with each phase.
function M.read_short_body()
    local length = tonumber(ngx.var.http_content_length)
    if length and length > 0 and length <= SHORT_BODY then
        ngx.req.read_body()
    end
end

-- Hold the request until its site serves, or explain to the visitor why it does not.
local function hold()
    local host = ngx.var.host
    local given = ngx.var.http_x_hereabouts_until
    if given == GIVEN_UP then
        return ngx.exit(ngx.HTTP_BAD_GATEWAY)
    end
    local deadline = tonumber(given) or now() + settings.hold_seconds
    repeat
        local route = lookup(host)
        if not route then
            return show(404, "nothing")
        end
        if redirect(route, host) then
            return
        end
        if route.target == "disabled" then
            return show(503, "disabled")
        end
        local answer, turn = ask(host, math.max(0.1, deadline - now()))
        route = lookup(host)
        local peer = route and route.peer
        local ready = answer == "go" and peer and listens(peer)
        if turn then
            turn:close()
        end
        if ready then
            ngx.ctx.peer, ngx.ctx.deadline = peer, deadline
            return
        elseif answer == "down" and now() < deadline then
            return show(503, "failed", 10)
        elseif answer == "full" then  -- so many are held already
            return show(503, "starting", 5)
        end
        ngx.sleep(0.05)  -- the supervisor restarts, the route is just changing, or the server's queue is full
    until now() >= deadline
    return show(503, "starting", 5)
end

function M.wait()
    if ngx.var.hereabouts_way == "gated_site" then
        return gate()
    end
    return hold()
end

return M
