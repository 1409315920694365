-- Runs the fuzzers: `lua5.4 tests/fuzz/run.lua [SECONDS] [TARGET...]`; `ninja fuzz` runs each for a minute. They need
-- clang with libFuzzer: ./gen/setup --fuzz. An input on which a target crashes, leaks, takes 5 seconds or a gigabyte
-- is left in build/fuzz/found. Once that is mended, it goes to tests/fuzz/finds/TARGET, where `ninja test` runs it.

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"

local FINDS <const>, WORK <const> = "tests/fuzz/finds", "build/fuzz"
local MEMORY <const> = "/dev/shm" -- a file system in memory, where there is one
local AT_A_TIME <const> = 2
local LIMITS <const> = "-timeout=5 -rss_limit_mb=1536 -malloc_limit_mb=1024 -max_len=32768 -use_value_profile=1 "
  .. "-print_final_stats=1"

local function make_folder(path) assert(os.execute("mkdir -p " .. path)) end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- The first clang that can link a fuzzer, or an error.
local function find_compiler()
  local source = WORK .. "/empty.c"
  write(source, "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !(d + n); }\n")
  for _, name in ipairs { "clang", "clang-22", "clang-19", "clang-16", "clang-14" } do
    local command = "%s -fsanitize=fuzzer,address,undefined %s -o %s/empty 2>/dev/null"
    if os.execute(command:format(name, source, WORK)) then return name end
  end
  io.stderr:write "fuzz: want clang with libFuzzer, found none: ./gen/setup --fuzz\n"
  os.exit(1)
end

-- Builds the targets. The file is written only if it changes, since all objects depend on it.
local function build()
  local path, text = WORK .. "/compiler.ninja", "cc = " .. find_compiler() .. "\n"
  local old = io.open(path)
  local same = old and old:read "a" == text
  if old then old:close() end
  if not same then write(path, text) end
  if not os.execute "ninja -f tests/fuzz.ninja" then os.exit(1) end
end

local function names_in(folder)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find "^[^.]" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function write_seeds(target)
  local folder = WORK .. "/seeds/" .. target
  make_folder(folder)
  for i, text in ipairs(require("tests.fuzz.seeds")[target]()) do write(folder .. "/" .. i, text) end
  return folder
end

local function start(target, seconds)
  local corpus, found = WORK .. "/corpus/" .. target, WORK .. "/found/"
  make_folder(corpus)
  make_folder(found)
  local seeds = write_seeds(target)
  local memory = lfs.attributes(MEMORY) and "TMPDIR=" .. MEMORY .. " " or ""
  local flags = string.format("%s -max_total_time=%d -artifact_prefix=%s%s-", LIMITS, seconds, found, target)
  local folders = string.format("%s %s %s/%s", corpus, seeds, FINDS, target)
  return { target = target, lines = {}, pipe = assert(io.popen(string.format("%s%s/fuzz/%s %s %s </dev/null 2>&1",
    memory, WORK, target, flags, folders))) }
end

-- Waits for a fuzzer and prints a line, or all that it has said about what it found -> whether it found nothing.
local function finish(run)
  local inputs, covered
  for line in run.pipe:lines() do
    run.lines[#run.lines + 1] = line
    inputs = line:match "number_of_executed_units: *(%d+)" or inputs
    covered = line:match "cov: (%d+)" or covered
  end
  local good = run.pipe:close() == true
  if not good then print(table.concat(run.lines, "\n")) end
  print(string.format("%-14s %10s inputs %6s edges  %s", run.target, inputs or "?", covered or "?",
    good and "nothing found" or "FOUND, see above"))
  return good
end

local seconds = tonumber(arg[1]) and tonumber(table.remove(arg, 1)) or 60
local targets, running, good = #arg > 0 and arg or names_in(FINDS), {}, true
make_folder(WORK)
build()
for _, target in ipairs(targets) do
  if #running == AT_A_TIME then good = finish(table.remove(running, 1)) and good end
  running[#running + 1] = start(target, seconds)
end
for _, run in ipairs(running) do good = finish(run) and good end
os.exit(good)
