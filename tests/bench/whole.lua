-- whole.lua: what ours does for every request beside the checks of peers.lua: an id, the lines that tell the backend of it,
-- counts of each API for Prometheus. Counts are a worker's own until a timer adds them to the shared dictionary, once a second.
-- What LuaJIT does not compile (matches, calls of nginx by C) is left to nginx: the path by a variable, hops by a map (whole.py).
local peers = require "peers"
local shared = ngx.shared.metrics
local M = {}

local BOUNDS = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
local CLASSES = {"1xx", "2xx", "3xx", "4xx", "5xx"}
local apis = {}
local node = {received = 0, sent = 0, calls = 0, classes = {}, buckets = {}}

local function row_of(id)
    local row = {received = 0, sent = 0, seconds = 0, requests = 0, slowest = 0, throttled = 0, classes = {}}
    apis[id] = row
    return row
end

function M.access()
    local var = ngx.var
    if var.sluice_hops == "" then return ngx.exit(508) end
    local api, app = peers.secret()
    local id = var.request_id
    var.sluice_api, var.sluice_app = api, app
    var.sluice_trace = "00-" .. id .. "-" .. id:sub(17) .. "-01"
    var.sluice_path = "/"
end

function M.count()
    local var, status, seconds = ngx.var, ngx.status, ngx.now() - ngx.req.start_time()
    local id = var.sluice_api
    local row = apis[id] or row_of(id)
    local class = CLASSES[(status - status % 100) / 100] or "none"
    local received, sent = tonumber(var.request_length), tonumber(var.bytes_sent)
    row.classes[class] = (row.classes[class] or 0) + 1
    row.requests, row.seconds = row.requests + 1, row.seconds + seconds
    row.received, row.sent = row.received + received, row.sent + sent
    if seconds > row.slowest then row.slowest = seconds end
    if status == 429 then row.throttled = row.throttled + 1 end
    node.classes[class] = (node.classes[class] or 0) + 1
    node.received, node.sent = node.received + received, node.sent + sent
    if id ~= "none" then node.calls = node.calls + 1 end
    local at = 1
    while at <= #BOUNDS and seconds > BOUNDS[at] do at = at + 1 end
    node.buckets[at] = (node.buckets[at] or 0) + 1
end

local function add(name, value)
    if value > 0 then shared:incr(name, value, 0) end
end

-- Adds what was counted since the last time, and begins anew.
function M.flush()
    for id, row in pairs(apis) do
        local label = '{api_id="' .. id .. '"'
        for class, count in pairs(row.classes) do
            add("api_requests_total" .. label .. ',class="' .. class .. '"}', count)
        end
        for _, what in ipairs {"received", "sent", "seconds", "requests", "throttled"} do
            add("api_" .. what .. label .. "}", row[what])
        end
        local slowest = "api_slowest" .. label .. "}"
        if row.slowest > (shared:get(slowest) or 0) then shared:set(slowest, row.slowest, 120) end
    end
    for class, count in pairs(node.classes) do add('requests_total{class="' .. class .. '"}', count) end
    for at, count in pairs(node.buckets) do add('request_seconds{le="' .. (BOUNDS[at] or "+Inf") .. '"}', count) end
    for _, what in ipairs {"received", "sent", "calls"} do add(what .. "_total", node[what]) end
    apis, node = {}, {received = 0, sent = 0, calls = 0, classes = {}, buckets = {}}
end

function M.export()
    M.flush()
    for _, name in ipairs(shared:get_keys(0)) do ngx.say(name, " ", shared:get(name)) end
end

return M
