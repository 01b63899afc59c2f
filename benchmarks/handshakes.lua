-- TLS handshakes for so many seconds, or so many of them, each a full one, one after the other in so many threads:
-- prints how many there were. Names are made of a pattern with %d, for each handshake the next number below `names`.
local M = {}

function M.run()
    local given = ngx.req.get_uri_args()
    local port, names, most = tonumber(given.port), tonumber(given.names), tonumber(given.most)
    local deadline, done, failed, number = ngx.now() + tonumber(given.seconds), 0, nil, 0

    local function one()
        number = (number + 1) % names
        local name = given.pattern:format(number)
        local socket = ngx.socket.tcp()
        socket:settimeouts(10000, 10000, 10000)
        local _, problem = socket:connect("127.0.0.1", port)
        if not problem then
            _, problem = socket:sslhandshake(false, name, false)
        end
        socket:close()
        return problem
    end

    local function many()
        while not failed and done < most and ngx.now() < deadline do
            done = done + 1
            failed = one()
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
