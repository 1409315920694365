-- `lua5.4 tests/bench/beside.lua LIBRARIES [JOB...]` times a cpu tree and llama.cpp's CPU library on the same shapes
-- in turns, and records the ratio of their rates. LIBRARIES is the folder of its shared libraries;
-- tests/bench/README.md says where it comes from. The environment may set BENCH_CONFIG and BENCH_MACHINE as for
-- tests/bench.lua, and BENCH_TURNS (4).

package.path = "./?.lua;" .. package.path
local build = require "tests.bench.build"
local record = require "tests.bench.record"
local samples = require "tests.bench.samples"

local JOBS <const> = "1:64:128 1:512:0"
local ROUNDS <const> = 2 -- of a turn; the first warms up

local getenv = os.getenv
local libraries = arg[1] or build.fail("want the folder of llama.cpp's libraries, found none")
local jobs = #arg > 1 and table.concat(arg, " ", 2) or JOBS
local turns = math.tointeger(tonumber(getenv("BENCH_TURNS") or 4))
  or build.fail("BENCH_TURNS: want a number, found %s", getenv("BENCH_TURNS"))
local config = getenv("BENCH_CONFIG") or "tests/bench/eighth.json"

-- The rates of each job over all turns: { { name =, ours = { ... }, theirs = { ... } }, ... }.
local function run_turns(ours, theirs)
  local compared = {}
  for turn = 1, turns do
    local mine, other = samples.parse(build.output_of(ours)), samples.parse(build.output_of(theirs))
    for i, job in ipairs(mine.jobs) do
      local both = compared[i] or { name = job.name, ours = {}, theirs = {} }
      compared[i], both.ours[turn], both.theirs[turn] = both, job.best, other.jobs[i].best
      print(string.format("turn %d, %-22s getp %8.1f tok/s, llama.cpp %8.1f tok/s: %.2f times", turn, job.name,
        job.best, other.jobs[i].best, job.best / other.jobs[i].best))
    end
  end
  return compared
end

local slots, context = build.sizes(jobs)
local driver, tree = build.timed_driver(config, slots, context)
local llama, model, checkpoint = build.llama_driver(), build.gguf(config), build.checkpoint(config)
local threads = build.output_of("nproc"):match("%d+")
local library = build.output_of("ls " .. build.quote(libraries)):match("libllama%.[^\n]*") or "llama.cpp"
local compared = run_turns(
  string.format("OMP_NUM_THREADS=%s %s --no-peaks %s %d %s", threads, driver, build.quote(checkpoint), ROUNDS, jobs),
  string.format("%s %s %s %s %d %s", llama, build.quote(libraries), build.quote(model), threads, ROUNDS, jobs))
local lines, command = {}, string.format("lua5.4 tests/bench/beside.lua LIBRARIES %s; %d turns", jobs, turns)
for _, each in ipairs(compared) do
  local name = string.format("%s; %s threads beside %s", each.name, threads, library)
  local rates = samples.compare(each.ours, each.theirs)
  print(string.format("%-22s getp %.1f tok/s, llama.cpp %.1f tok/s; by turns %.2f to %.2f times its rate, median %.2f",
    each.name, rates.ours, rates.theirs, rates.least, rates.most, rates.median))
  table.move({ record.line(tree, name, rates.median, "times its rate", command),
    record.line(tree, name .. ": getp", rates.ours, "tok/s", command),
    record.line(tree, name .. ": llama.cpp", rates.theirs, "tok/s", command) }, 1, 3, #lines + 1, lines)
end
record.write(build.machine_file(true), lines)
