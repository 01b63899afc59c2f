-- Which certificate does this name show? {directory}/{name}.pem, key and chain, kept by its modification time.
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
local kept = lrucache.new(2000)
local directory
local M = {}

function M.configure(given)
    directory = given.directory
end

-- What tells one version of a file from the next; nothing where there is no file.
local function version(path)
    if ffi.C.statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, found) ~= 0 then
        return nil
    end
    return tostring(found.mtime.tv_sec) .. "." .. found.mtime.tv_nsec .. "." .. tostring(found.ino)
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

-- Without a certificate of its own, a name is shown the platform's, which nginx has set already.
function M.show()
    local name = ssl.server_name()
    if not name then
        return
    end
    name = name:lower()
    if #name > 253 or name:find("[^a-z0-9.-]") or name:find("^%.") then
        return
    end
    -- A name that would be too long for a file's has its hash there (certificates/local.py).
    local path = directory .. (#name > 200 and ngx.md5(name) or name) .. ".pem"
    local latest = version(path)
    if not latest then
        return
    end
    local certificate = kept:get(name)
    if not certificate or certificate.version ~= latest then
        certificate = load(path)
        if not certificate then
            ngx.log(ngx.ERR, "the certificate of ", name, " can't be read: ", path)
            return
        end
        certificate.version = latest
        kept:set(name, certificate)
    end
    ssl.clear_certs()
    assert(ssl.set_cert(certificate.chain))
    assert(ssl.set_priv_key(certificate.key))
end

return M
