-- What wrk sends and tells: plain GETs, or after `-- mixed` GETs and POSTs with bodies in turn.
local count, get, post = 0, nil, nil

local function mixed()
    count = count + 1
    return count % 2 == 0 and post or get
end

function init(args)
    if args[1] ~= "mixed" then
        return  -- wrk sends what it was told, without a call of Lua for each request
    end
    get = wrk.format("GET")
    post = wrk.format("POST", nil, { ["Host"] = wrk.headers["Host"] }, string.rep("x", 4096))
    request = mixed
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d %d %d %d %d %d\n",
        summary.requests, summary.duration, errors.status, errors.connect, errors.read, errors.write,
        errors.timeout, latency:percentile(50), latency:percentile(99), latency.max))
end
