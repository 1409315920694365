-- Checks what the repository holds: `lua5.4 tests/contents.lua`. It has the agreed names at its top, no file above
-- 10 MB, and no path or host of the machine on which someone wrote it.

local TOP <const> = { ["README.md"] = true, LICENSE = true, ["build.ninja"] = true, gen = true, generated = true,
  runtime = true, templates = true, tests = true }
local MOST_BYTES <const> = 10000000

-- Patterns of paths and hosts that exist on one machine only. The frontier keeps the middle of a longer path apart.
local FOREIGN <const> = {
  { "%f[/%w]/w[o]rk/", "a path of a machine" }, { "%f[/%w]/home/", "a path of a machine" },
  { "%f[/%w]/root/", "a path of a machine" }, { "%f[/%w]/mnt/", "a path of a machine" },
  { "%f[/%w]/tmp/", "a path of a machine" }, { "https?://", "an address" }, { "%f[%w]localhost%f[%W]", "a host" },
  { "%f[%w]pypi%f[%W]", "a registry" }, { "registry%.", "a registry" }, { "%d+%.%d+%.%d+%.%d+:%d", "an address" },
}

-- The first line of every pointer file of git-lfs, by which the program knows one.
local POINTER <const> = "version https://git-lfs.github.com/spec/v1"

-- Vocabularies and weights are data of others.
local DATA <const> = { "^tests/vectors/o200k_harmony/", "^tests/models/", "^gen/configs/", "^tests/gen/configs/" }

local messages = {}

local function report(...) messages[#messages + 1] = string.format(...) end

local function is_data(path)
  for _, pattern in ipairs(DATA) do
    if path:find(pattern) then return true end
  end
  return false
end

local function check_text(path, file)
  local number = 0
  for line in file:lines() do
    number = number + 1
    line = line:gsub(POINTER:gsub("%p", "%%%0"), "")
    for _, each in ipairs(FOREIGN) do
      local found = line:match(each[1])
      if found then report("%s:%d: want nothing of one machine, found %s: %s", path, number, each[2], found) end
    end
  end
end

for path in io.popen("git ls-files -co --exclude-standard"):lines() do
  local top, file = path:match("^[^/]*"), io.open(path, "rb")
  if file then
    if not TOP[top] and not top:find("^%.") then report("%s: want no other name at the top", path) end
    local bytes = file:seek("end")
    if bytes > MOST_BYTES then report("%s: want at most %d bytes, found %d", path, MOST_BYTES, bytes) end
    file:seek("set")
    if not is_data(path) and path ~= "tests/contents.lua" then check_text(path, file) end
    file:close()
  end
end
for _, message in ipairs(messages) do print(message) end
os.exit(#messages == 0)
