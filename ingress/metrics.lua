-- What is counted of each website: answers by class of their status, bytes, how long they took (seconds, by the bounds
-- of core/metrics.py), and the requests being served. A request costs a few additions in a table of its worker's own.
-- At the end of each interval of 10 s the worker puts what it counted into the shared dictionary as one portion, where
-- the supervisor takes it from: it asks for what there is, and with the next question says what it has written down.
-- A website is known by its log's name (route.lua), which nobody else's has.
local floor, concat = math.floor, table.concat
local now, start_time = ngx.now, ngx.req.start_time

local SECONDS = 10
local GRACE = 0.5  -- for the other workers to have put down theirs
local KEPT = 600  -- seconds, where nobody takes it
local AT_ONCE = 1000  -- what their keys take has room in a question's first line
local BOUNDS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30 }
local BYTES, CLASSES, LATENCY = 2, 2, 8  -- where a website's numbers are; its requests being served are the first
local TOOK = LATENCY + #BOUNDS + 1  -- all of them together
local NUMBERS = TOOK

local portions
local sites, begins, ends, portion, leaving = {}, 0, 0, 0, false
local M = {}

local function blank()
    local site = {}
    for number = 1, NUMBERS do
        site[number] = 0
    end
    return site
end

local function keep(lines)
    if #lines == 0 then
        return
    end
    portion = portion + 1
    local kept, problem = portions:set(begins .. ":" .. ngx.worker.pid() .. ":" .. portion, concat(lines, "\n"), KEPT)
    if not kept then
        ngx.log(ngx.ERR, "what was counted of websites is lost: ", problem)
    end
end

-- One website's line; it begins anew, and is forgotten where it serves nothing.
local function line(name, site)
    local served = site[1]
    if leaving then
        site[1] = 0  -- nobody would tell when they end
    end
    local told = name .. " " .. concat(site, " ")
    for number = 2, NUMBERS do
        site[number] = 0
    end
    site[1] = served
    if served == 0 then
        sites[name] = nil
    end
    return told
end

-- Put down what was counted since the last time.
local function put_down()
    local lines = {}
    for name, site in pairs(sites) do
        lines[#lines + 1] = line(name, site)
    end
    keep(lines)
end

-- Begin the interval to which a moment belongs, unless that is the one under way.
local function turn(moment)
    if moment >= ends or moment < begins then
        put_down()
        begins = floor(moment / SECONDS) * SECONDS
        ends = begins + SECONDS
    end
end

local function tick(premature)
    leaving = premature
    if premature then  -- this worker gives way to another one, and gets no more ticks
        return put_down()
    end
    local moment = now()
    turn(moment)
    local planned, problem = ngx.timer.at(ends - moment + 0.01, tick)
    if not planned then
        ngx.log(ngx.ERR, "websites' requests are counted late from now on: ", problem)
    end
end

-- For each worker as it starts.
function M.start()
    portions = ngx.shared.metrics
    turn(now())
    ngx.timer.at(0, tick)
end

-- A website begins to serve a request, or has it held.
function M.began(name)
    local site = sites[name]
    if not site then
        site = blank()
        sites[name] = site
    end
    site[1] = site[1] + 1
end

-- A request has ended, whatever became of it.
function M.ended()
    local var = ngx.var
    local name = var.hereabouts_log
    local site = sites[name]
    if not site then
        return
    end
    local moment, status = now(), ngx.status
    turn(moment)
    site[1] = site[1] - 1
    site[BYTES] = site[BYTES] + var.bytes_sent
    local class = floor(status / 100)
    if class >= 1 and class <= 5 then
        site[CLASSES + class] = site[CLASSES + class] + 1
    end
    if status ~= 101 then  -- a WebSocket lasts as long as it is used
        local took, bucket = math.max(0, moment - start_time()), 1  -- the clock may have stepped back
        while bucket <= #BOUNDS and took > BOUNDS[bucket] do
            bucket = bucket + 1
        end
        site[LATENCY - 1 + bucket] = site[LATENCY - 1 + bucket] + 1
        site[TOOK] = site[TOOK] + took
    end
    if leaving then
        keep { line(name, site) }
    end
end

-- For the supervisor: portions of intervals that are over, at the most AT_ONCE; forget those that `done` names.
function M.tell()
    for key in (ngx.var.arg_done or ""):gmatch("[^,]+") do
        portions:delete(key)
    end
    local over, found = floor((now() - GRACE) / SECONDS) * SECONDS, {}
    for _, key in ipairs(portions:get_keys(0)) do
        local content = tonumber(key:match("^%d+")) < over and #found < AT_ONCE and portions:get(key)
        if content then
            found[#found + 1] = "@" .. key .. "\n" .. content .. "\n"
        end
    end
    ngx.print(found)
    ngx.print(".\n")
end

return M
