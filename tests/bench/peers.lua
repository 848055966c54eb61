-- peers.lua: what a good hand writes for nginx with Lua to do the checks that the benched rows do: a key, or the
-- signature SDK-HMAC-SHA256, then two limits of a second in a shared dictionary. Routes stand in a hash.
local ffi = require "ffi"
local limits = ngx.shared.limits
local M = {}

local LIMIT = 1000000
local CODES = {[string.rep("c", 64)] = "app"}
local SECRETS = {benchkey = "benchsecret"}
local EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
local apis = {}
for n = 0, 99 do apis["/bench/" .. n .. "/items"] = "api" .. n end

ffi.cdef [[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *d, size_t n, unsigned char *out,
                    unsigned int *out_len);
unsigned char *SHA256(const unsigned char *d, size_t n, unsigned char *out);
]]
local C = ffi.load("crypto", false) or ffi.C
local sha256 = C.EVP_sha256()
local out, out_len = ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")
local HEX = {}
for n = 0, 255 do HEX[n] = string.format("%02x", n) end
local parts = {}

local function hex()
    for n = 0, 31 do parts[n + 1] = HEX[out[n]] end
    return table.concat(parts, "", 1, 32)
end

local function take(kind, who)
    local key = kind .. who .. ":" .. ngx.time()
    local count = limits:incr(key, 1, 0, 2)
    if not count or count > LIMIT then return ngx.exit(429) end
end

local function limit(app)
    local api = apis[ngx.var.uri]
    if not api then return ngx.exit(404) end
    take("a", api)
    take("p", app)
    return api, app
end

-- Answers the API and the app, for whoever logs them.
function M.key()
    local app = CODES[ngx.var.http_x_apig_appcode or ""]
    if not app then return ngx.exit(401) end
    return limit(app)
end

-- The same for an app's own key and secret.
function M.secret()
    local id = ngx.var.http_x_hw_id or ""
    local secret = SECRETS[id]
    if not secret or secret ~= ngx.var.http_x_hw_appkey then return ngx.exit(401) end
    return limit(id)
end

local function escape(text)
    return (text:gsub("[^%w%-%._~/]", function(c) return string.format("%%%02X", c:byte()) end))
end

function M.signature()
    local authorization = ngx.var.http_authorization or ""
    local access, names, signature = authorization:match(
        "^SDK%-HMAC%-SHA256 Access=([^,]+), *SignedHeaders=([^,]+), *Signature=(%x+)$")
    local secret = access and SECRETS[access]
    local date = ngx.var.http_x_sdk_date
    if not secret or not date then return ngx.exit(401) end
    local y, m, d, h, i, s = date:match("^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$")
    if not y then return ngx.exit(401) end
    local at = os.time({year = y, month = m, day = d, hour = h, min = i, sec = s})
    if math.abs(at - ngx.time()) > 900 then return ngx.exit(401) end
    local headers, lines = ngx.req.get_headers(), {}
    for name in names:gmatch("[^;]+") do
        local value = headers[name]
        if not value then return ngx.exit(401) end
        lines[#lines + 1] = name .. ":" .. value .. "\n"
    end
    local path = escape(ngx.unescape_uri(ngx.var.uri))
    if path:sub(-1) ~= "/" then path = path .. "/" end
    local text = table.concat({ngx.req.get_method(), path, ngx.var.args or "", table.concat(lines), names,
                               headers["x-sdk-content-sha256"] or EMPTY}, "\n")
    C.SHA256(text, #text, out)
    local to_sign = "SDK-HMAC-SHA256\n" .. date .. "\n" .. hex()
    C.HMAC(sha256, secret, #secret, to_sign, #to_sign, out, out_len)
    if hex() ~= signature then return ngx.exit(401) end
    limit(access)
end

return M
