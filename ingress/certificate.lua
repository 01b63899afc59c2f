-- Which certificate does this name show? own/{name}.pem, else for a name directly under the sites domain
-- own/_.{sites domain}.pem (own/_{sites domain}.pem for that itself), else local/{name}.pem: key and chain in one
-- file, kept by its time of change.
-- The platform's own names share that of its host. A name without a certificate is refused.
local ssl = require "ngx.ssl"
local lrucache = require "resty.lrucache"
local ffi = require "ffi"

-- statx(2) has one layout on every architecture, unlike stat(2).
ffi.cdef [[
typedef struct { int64_t tv_sec; uint32_t tv_nsec; int32_t reserved; } hereabouts_time;
typedef struct {
    uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, spare;
    uint64_t ino, size, blocks, attributes_mask; hereabouts_time atime, btime, ctime, mtime;
    uint32_t rdev[4]; uint64_t rest[16];
} hereabouts_statx;
int statx(int dirfd, const char *path, int flags, unsigned int mask, hereabouts_statx *found);
]]

local AT_FDCWD, STATX_BASIC_STATS = -100, 0x7ff
local found = ffi.new("hereabouts_statx")
local kept = lrucache.new(16000)  -- reading one costs as much as two handshakes; kept, it takes about 13 KB
local settings, platform
local M = {}

function M.configure(given)
    settings, platform = given, {}
    for name in given.platform:gmatch("%S+") do
        platform[name] = true
    end
end

local function load(path)
    local file = io.open(path)
    if not file then
        return nil
    end
    local pem = file:read("*a")
    file:close()
    local chain, key = ssl.parse_pem_cert(pem), ssl.parse_pem_priv_key(pem)
    return chain and key and { chain = chain, key = key }
end

-- The certificate in a file, or nothing where there is none. Compared are numbers: to make a text of them in each
-- handshake costs more than to look.
local function read(path)
    if ffi.C.statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, found) ~= 0 then
        return nil
    end
    local seconds, fraction, inode = tonumber(found.mtime.tv_sec), found.mtime.tv_nsec, tonumber(found.ino)
    local certificate = kept:get(path)
    if certificate and certificate.seconds == seconds and certificate.fraction == fraction
        and certificate.inode == inode then
        return certificate
    end
    certificate = load(path)
    if not certificate then
        ngx.log(ngx.ERR, "this certificate can't be read: ", path)
        return nil
    end
    certificate.seconds, certificate.fraction, certificate.inode = seconds, fraction, inode
    kept:set(path, certificate)
    return certificate
end

-- A name that would be too long for a file's has its hash there (core/certificate.py).
local function file(directory, name)
    return settings.directory .. directory .. (#name > 200 and ngx.md5(name) or name) .. ".pem"
end

local function find(name)
    if #name > 253 or name:find("[^a-z0-9.-]") or name:find("^%.") then
        return nil
    end
    local certificate = read(file("own/", name))
    if not certificate and (name == settings.domain or name:gsub("^[^.]*%.", "") == settings.domain) then
        certificate = read(file("own/", (name == settings.domain and "_" or "_.") .. settings.domain))
    end
    return certificate or read(file("local/", platform[name] and settings.host or name))
end

function M.show()
    local name = (ssl.server_name() or settings.host):lower()
    if name:find("^[%d.]+$") then  -- an address, where a host's name belongs (RFC 6066, 3)
        name = settings.host
    end
    local certificate = find(name)
    if certificate then
        ssl.clear_certs()
        assert(ssl.set_cert(certificate.chain))
        assert(ssl.set_priv_key(certificate.key))
    elseif not platform[name] then  -- which would go on with what nginx read as it started
        ssl.clear_certs()
    end
end

return M
