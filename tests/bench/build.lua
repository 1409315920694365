-- Builds what the measurements on a CPU run: trees below build/bench, their drivers, and random checkpoints. Everything
-- that is there and current is left alone.

local lfs = require "lfs"
local record = require "tests.bench.record"
local samples = require "tests.bench.samples"

local build = {}

local WORK <const> = "build/bench"
local TREES <const> = WORK .. "/trees"
local COUNTED_MACHINE <const> = "x86-64-v3"

function build.fail(...)
  io.stderr:write("bench: ", string.format(...), "\n")
  os.exit(1)
end

function build.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- Runs a command and returns its output; a failure ends the program.
function build.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return pipe:close() and text or build.fail("%s: the run failed", command)
end

-- The CSV file of this machine.
function build.machine_file(is_cpu)
  local name = os.getenv("BENCH_MACHINE") or record.machine(is_cpu)
    or build.fail("BENCH_MACHINE: want a name for this machine, found none")
  return "tests/bench/" .. name .. ".csv"
end

-- samples.sizes of jobs that somebody gave.
function build.sizes(jobs)
  local slots, context = samples.sizes(jobs)
  if not slots then build.fail("%s: want SEQUENCES:PROMPT:STEPS", context) end
  return slots, context
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

local function write_if_changed(path, text)
  if read(path) == text then return end
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- ---- programs ----

-- Ninja's text for the driver of a tree; nil: none. machine: that for which its kernels are compiled; nil: this one.
local function ninja_text(tree, machine)
  if not tree then return "" end
  return string.format("driven = %s\n%sinclude $trees/$driven/build.ninja\ninclude tests/bench/drive.ninja\n", tree,
    machine and "kernel_machine = -march=" .. machine .. "\n" or "")
end

-- Builds targets of tests/bench.ninja. timed, counted: the trees whose drivers are among them, or nil.
local function run_ninja(timed, counted, targets)
  assert(os.execute("mkdir -p " .. WORK))
  write_if_changed(WORK .. "/timed.ninja", ninja_text(timed))
  write_if_changed(WORK .. "/counted.ninja", ninja_text(counted, COUNTED_MACHINE))
  build.output_of('log=$(ninja -f tests/bench.ninja ' .. targets .. ') || { echo "$log" >&2; false; }')
end

local function generate(config, name, options)
  build.output_of(string.format("lua5.4 gen/main.lua --config %s --target cpu --name %s --out %s %s",
    build.quote(config), build.quote(name), TREES, options))
end

local function driver(name) return string.format("%s/bench/%s/drive", WORK, name) end

-- The driver of the tree of a config, made for so many sequences and positions -> its path, the name of the tree.
function build.timed_driver(config, slots, context)
  local name = config:gsub("/+$", ""):gsub("/config%.json$", ""):match("[^/]+$"):gsub("%.json$", "") .. "-cpu"
  generate(config, name, string.format("--slots %d --context %d", slots, context))
  run_ninja(name, nil, driver(name))
  return driver(name), name
end

-- The driver of abacus-cpu with kernels for AVX2 -> its path, the name of the tree, the compiler.
function build.counted_driver()
  local name = "abacus_" .. COUNTED_MACHINE .. "-cpu"
  generate("tests/models/abacus", name, "")
  run_ninja(nil, name, driver(name))
  return driver(name), name, "gcc " .. build.output_of("cc -dumpfullversion"):match("%S+")
end

function build.llama_driver()
  run_ninja(nil, nil, WORK .. "/bench/llama")
  return WORK .. "/bench/llama"
end

-- ---- files ----

-- A folder is a checkpoint. Of a config a random checkpoint is made, once -> its folder.
function build.checkpoint(config)
  if lfs.attributes(config, "mode") == "directory" then return config end
  local folder = WORK .. "/" .. config:match("[^/]+$"):gsub("%.json$", "")
  local text = read(config) or build.fail("%s: cannot read the file", config)
  if read(folder .. "/config.json") ~= text then
    run_ninja(nil, nil, WORK .. "/make_checkpoint")
    build.output_of(string.format("rm -rf %s && %s/make_checkpoint %s %s", build.quote(folder), WORK,
      build.quote(config), build.quote(folder)))
  end
  return folder
end

-- The GGUF file of the same shapes, made once -> its path.
function build.gguf(config)
  local path = WORK .. "/" .. config:match("[^/]+$"):gsub("%.json$", "") .. ".gguf"
  if not lfs.attributes(path) then
    build.output_of(string.format("lua5.4 tests/bench/gguf.lua %s %s", build.quote(config), build.quote(path)))
  end
  return path
end

return build
