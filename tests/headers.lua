-- Checks that every header compiles alone: `lua5.4 tests/headers.lua` prints TAP. Headers of the host compile as C,
-- headers of kernels as C++ against tests/simt, those of formats/ as both. Headers that map HIP onto CUDA need nvcc.

package.path = "./?.lua;" .. package.path
local support = require "tests.support"

local C <const> = "cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fopenmp -Iruntime -I%s -fsyntax-only -x c"
local CXX <const> = "c++ -std=c++17 -DSIMT_WAVE=%d -Wall -Wextra -Wno-unknown-pragmas -Wno-unused-function -Werror "
  .. "-Itests/simt -Iruntime -fsyntax-only -x c++"
local CUDA <const> = "nvcc -x cu -arch=sm_90 -std=c++17 -Werror all-warnings -diag-suppress 177 "
  .. "-Iruntime/target/sm_90 -Iruntime -c -o /dev/null"
local AT_A_TIME <const> = 2

-- Trees whose headers are checked; other headers find the first one's.
local TREES <const> = { "generated/abacus-cpu", "generated/abacus-gfx90a" }

local has_nvcc = os.execute("command -v nvcc >/dev/null")

-- The command that compiles a header alone, or nil and why there is none.
local function command_for(path)
  if path:find("^runtime/target/sm_90/hip/") then
    if has_nvcc then return CUDA .. " " .. path end
    return nil, "nvcc is not installed"
  end
  local c = C:format(path:match("^(generated/[^/]+)/") or TREES[1]) .. " " .. path
  local cxx = CXX:format(path:find("^runtime/target/sm_90/") and 32 or 64) .. " " .. path
  if path:find("^runtime/formats/") then return c .. " && " .. cxx end
  if path:find("^runtime/target/cpu/") then return c .. " -Wno-psabi" end -- vectors of any machine
  return path:find("^runtime/target/") and cxx or c
end

local function list_headers()
  local list = {}
  local pipe = io.popen("find runtime " .. table.concat(TREES, " ") .. " -name '*.h' | LC_ALL=C sort")
  for path in pipe:lines() do list[#list + 1] = path end
  return list
end

local commands = {}
for i, path in ipairs(list_headers()) do
  local command, why = command_for(path)
  commands[i] = command and string.format("%s && echo 'ok %s' || { echo 'not ok %s'; exit 1; }", command, path, path)
    or string.format("echo 'ok %s # SKIP %s'", path, why)
end
local file = support.write("headers", table.concat(commands, "\n") .. "\n")
os.exit(os.execute(string.format("xargs -a %s -d '\\n' -P %d -n 1 sh -c 2>&1", file, AT_A_TIME)) == true)
