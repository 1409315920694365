-- Compiles kernel files to gfx90a assembly with two compilers: the build's own, and clang 22, which stands for those
-- of later ROCm releases. Two files are compiled at a time.

local support = require "tests.support"
local compile = {}

local AT_A_TIME = 2
-- Debian installs ROCm's bitcode here. hip.bc defines functions that the HIP headers of that release declare; without
-- it clang 22 leaves calls in the kernels and spills registers around them.
local BITCODE = "/usr/lib/x86_64-linux-gnu/amdgcn/bitcode"

local function is_there(command) return os.execute("command -v " .. command .. " >/dev/null") == true end

-- The compile command of runtime/build.ninja, without the tree's include path.
local function build_command()
  local text = support.read("runtime/build.ninja"):gsub(" %$\n +", " ")
  return assert(text:match("\ngfx90a_compile = ([^\n]+)"), "runtime/build.ninja: want gfx90a_compile, found none")
end

local function version(command)
  local _, out = support.run(command .. " --version")
  return out:match("clang version (%d[%d.]*)")
end

-- With -save-temps=obj hipcc writes the device's assembly next to the object file.
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

-- Warnings are off: only the build's compiler must compile without any.
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

-- list of { name, version, missing (why it cannot be used, or nil), command (function(path, folder, out, stem) -> shell
-- command), result (format of the assembly's path) }; the build's compiler is the first.
compile.compilers = { hipcc(), clang_22() }

-- Makes a folder that no other process uses.
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

local function finish(job, receive)
  local output = job.pipe:read("a")
  local succeeded = job.pipe:close() == true
  receive(job, succeeded and support.read(job.result), output)
  os.execute("rm -r " .. job.out)
end

-- Compiles each of `jobs` = list of { path, compiler } and calls receive(job, assembly or false, output of the
-- compiler) in their order. job.out is a folder for temporary files that lasts until receive returns.
function compile.each(jobs, receive)
  local folder = scratch()
  for i = 1, #jobs + AT_A_TIME - 1 do
    if jobs[i] then start(jobs[i], folder .. "/" .. i) end
    if jobs[i - AT_A_TIME + 1] then finish(jobs[i - AT_A_TIME + 1], receive) end
  end
  os.execute("rmdir " .. folder)
end

return compile
