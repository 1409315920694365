-- Kernel files -> the assembly of gfx90a, by the compiler of the build and by clang 22, which stands for the
-- compilers of later ROCm releases. Two files at a time.

local support = require "tests.support"
local compile = {}

local AT_A_TIME = 2
-- Where Debian has ROCm's bitcode. hip.bc holds what the HIP headers of that release expect of the compiler;
-- without it clang 22 leaves calls in the kernels, and spills around them.
local BITCODE = "/usr/lib/x86_64-linux-gnu/amdgcn/bitcode"

local function is_there(command) return os.execute("command -v " .. command .. " >/dev/null") == true end

-- The compile command of runtime/build.ninja, without its include path of the tree.
local function build_command()
  local text = support.read("runtime/build.ninja"):gsub(" %$\n +", " ")
  return assert(text:match("\ngfx90a_compile = ([^\n]+)"), "runtime/build.ninja: want gfx90a_compile")
end

local function version(command)
  local _, out = support.run(command .. " --version")
  return out:match("clang version (%d[%d.]*)")
end

-- hipcc leaves the assembly of the device beside the object that it makes.
local function hipcc()
  if not is_there("hipcc") then return { name = "hipcc", missing = "no hipcc" } end
  local of_build = build_command()
  return {
    name = "hipcc", version = version("hipcc"),
    command = function(path, folder, out, stem)
      return string.format("%s -I%s -save-temps=obj -c %s -o %s/%s.o", of_build, folder, path, out, stem)
    end,
    result = "%s/%s-hip-amdgcn-amd-amdhsa-gfx90a.s",
  }
end

-- The warnings of this one are not the build's.
local function clang_22()
  local missing = not is_there("clang++-22") and "no clang++-22"
    or not support.exists(BITCODE .. "/hip.bc") and "no " .. BITCODE .. "/hip.bc" or nil
  local flags = "clang++-22 -x hip --offload-arch=gfx90a --cuda-device-only -S -std=c++17 -O3 -w --rocm-path=/usr "
    .. "--hip-version=5.2.21153 -mcode-object-version=5 -D__AMDGCN_WAVEFRONT_SIZE=64 -mllvm "
    .. "-amdgpu-early-inline-all=true -mllvm -amdgpu-function-calls=false --hip-device-lib-path=" .. BITCODE
    .. " -Xclang -mlink-builtin-bitcode -Xclang " .. BITCODE .. "/hip.bc -Iruntime"
  return {
    name = "clang 22", missing = missing, version = not missing and version("clang++-22") or nil,
    command = function(path, folder, out, stem)
      return string.format("%s -I%s %s -o %s/%s.s", flags, folder, path, out, stem)
    end,
    result = "%s/%s.s",
  }
end

-- { name, version, missing = why it cannot be used or nil, ... }: the build's first.
compile.compilers = { hipcc(), clang_22() }

-- A folder of this process alone.
local function scratch()
  assert(os.execute("mkdir -p " .. support.scratch))
  local pipe = assert(io.popen("mktemp -d " .. support.scratch .. "/gfx90a.XXXXXX"))
  local path = pipe:read("l")
  assert(pipe:close())
  return path
end

local function start(job, out)
  local folder, stem = job.path:match("^(.-)/?([^/]+)%.%w+$")
  if folder == "" then folder = "." end
  job.out = out
  job.result = job.compiler.result:format(job.out, stem)
  job.pipe = assert(io.popen(string.format("mkdir -p %s && %s 2>&1", job.out,
    job.compiler.command(job.path, folder, job.out, stem))))
end

local function finish(job, take)
  local output = job.pipe:read("a")
  local succeeded = job.pipe:close() == true
  take(job, succeeded and support.read(job.result), output)
  os.execute("rm -r " .. job.out)
end

-- take(job, assembly or false, what the compiler said) for each of `jobs` = list of { path, compiler }; until it
-- returns, job.out is a folder for what it likes.
function compile.each(jobs, take)
  local folder = scratch()
  for i = 1, #jobs + AT_A_TIME - 1 do
    if jobs[i] then start(jobs[i], folder .. "/" .. i) end
    if jobs[i - AT_A_TIME + 1] then finish(jobs[i - AT_A_TIME + 1], take) end
  end
  os.execute("rmdir " .. folder)
end

return compile
