-- replay.lua: wrk sends the requests of a file in turn, byte for byte; each after its length (32 bits).
local requests, at = {}, 0

function init(args)
    local file = assert(io.open(args[1], "rb"))
    while true do
        local head = file:read(4)
        if head == nil then break end
        local a, b, c, d = head:byte(1, 4)
        requests[#requests + 1] = file:read(((a * 256 + b) * 256 + c) * 256 + d)
    end
    file:close()
end

function request()
    at = at % #requests + 1
    return requests[at]
end
