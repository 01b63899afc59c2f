-- TLS handshakes for so many seconds, each a full one, one after the other in so many threads: prints how many there
-- were. Names are made of a pattern with %d, for each handshake the next number below `names`.
local M = {}

function M.run()
    local given = ngx.req.get_uri_args()
    local port, names, seconds = tonumber(given.port), tonumber(given.names), tonumber(given.seconds)
    local deadline, done, failed, number = ngx.now() + seconds, 0, nil, 0

    local function one()
        number = (number + 1) % names
        local socket = ngx.socket.tcp()
        socket:settimeouts(10000, 10000, 10000)
        local _, problem = socket:connect("127.0.0.1", port)
        if not problem then
            _, problem = socket:sslhandshake(false, given.pattern:format(number), false)
        end
        socket:close()
        return problem
    end

    local function many()
        while not failed and ngx.now() < deadline do
            failed = one()
            done = done + 1
        end
    end

    local threads = {}
    for index = 1, tonumber(given.clients) do
        threads[index] = ngx.thread.spawn(many)
    end
    for _, thread in ipairs(threads) do
        ngx.thread.wait(thread)
    end
    ngx.say(failed or done)
end

return M
