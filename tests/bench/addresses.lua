-- addresses.lua: wrk calls PATH at HOST from one address after another, named in X-Forwarded-For: COUNT of them from FIRST
-- on, each once a turn, in an order that no cache foresees; DONE of the turn's calls were made before.
local STRIDE = 514229 -- shares no factor with the counts that are used
local head, first, count, at

function init(args)
    head = "GET " .. args[2] .. " HTTP/1.1\r\nHost: " .. args[1] .. "\r\nX-Forwarded-For: "
    first, count = tonumber(args[3]), tonumber(args[4])
    at = tonumber(args[5]) * STRIDE % count
end

function request()
    local number = first + at
    at = (at + STRIDE) % count
    return string.format("%s10.%d.%d.%d\r\n\r\n", head, math.floor(number / 65536), math.floor(number / 256) % 256, number % 256)
end
