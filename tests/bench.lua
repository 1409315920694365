-- `ninja bench`: measures getp on this machine and records it in tests/bench/*.csv, whose lines tests/bench/README.md
-- describes. `lua5.4 tests/bench.lua PART...` runs only some of the parts:
--
-- getp          throughput of `-m getp`, by the rule of other engines for this model: generated tokens over the time of
--               inference, greedy, 1024 tokens of a prompt and its output together
-- cpu           tests/bench/drive.c: decoding and reading prompts on a CPU, in tokens per second and in per cent of
--               what its memory and its arithmetic can do at most
-- instructions  how many of them a fixed decode of abacus takes, by role; a slowdown shows on any machine
--
-- Without PART and without BENCH_TREE it runs all, with BENCH_TREE only the first. The environment can say otherwise:
--   BENCH_TREE        the tree of part getp (abacus-cpu), built as build/TREE/getp, or as BENCH_GETP
--   BENCH_CHECKPOINT  folder or packed file
--   BENCH_PROMPTS     file of prompts, the number of them in its first line (those of the demo)
--   BENCH_SLOTS       numbers of sequences that run at a time: "896 256 1"; each slot gets at most 16 prompts
--   BENCH_CONFIG      the model of part cpu (tests/bench/eighth.json): a checkpoint's folder, or a config, of which a
--                     random checkpoint is made in build/bench
--   BENCH_JOBS        what part cpu runs, each SEQUENCES:PROMPT:STEPS; see tests/bench/drive.c
--   BENCH_ROUNDS      how often (4)
--   BENCH_MACHINE     name of the CSV file; by default the name of the GPU or CPU

package.path = "./?.lua;" .. package.path
local build = require "tests.bench.build"
local counts = require "tests.bench.counts"
local record = require "tests.bench.record"
local samples = require "tests.bench.samples"

local PROMPTS_PER_SLOT <const> = 16
local JOBS <const> = "1:64:64 8:8:32 64:8:8 1:512:0"
local COUNTED <const> = { -- jobs of part instructions
  { job = "1:1:15", name = "one token at a time", tokens = 16 }, { job = "1:64:0", name = "prompt of 64", tokens = 64 },
}
local CALLGRIND <const> = "valgrind --tool=callgrind --toggle-collect=engine_submit"
local WORK <const> = "build/bench"

local fail, getenv = build.fail, os.getenv

local function has(program) return os.execute("command -v " .. program .. " >/dev/null") == true end

-- Records lines of measurements on this machine.
local function write_lines(is_cpu, lines)
  local path = build.machine_file(is_cpu)
  record.write(path, lines)
  print("recorded in " .. path)
end

-- ---- getp ----

-- What to measure, from the environment.
local function read_environment()
  local tree = getenv("BENCH_TREE") or "abacus-cpu"
  local own = tree == "abacus-cpu"
  return {
    tree = tree, getp = getenv("BENCH_GETP") or "build/" .. tree .. "/getp",
    checkpoint = getenv("BENCH_CHECKPOINT") or own and "tests/models/abacus"
      or fail("BENCH_CHECKPOINT: want a checkpoint for %s, found none", tree),
    prompts = getenv("BENCH_PROMPTS") or own and "tests/demo/prompts.txt"
      or fail("BENCH_PROMPTS: want a file of prompts for %s, found none", tree),
    slots = getenv("BENCH_SLOTS") or own and "16 1" or "896 256 1",
    is_cpu = tree:find("%-cpu$") ~= nil,
  }
end

-- Writes the first n prompts of a file to a new file -> its path, the number of prompts in it.
local function some_prompts(path, n)
  local lines = record.read_lines(path) or fail("%s: cannot read the file", path)
  local all = math.tointeger(tonumber(lines[1]))
    or fail('%s:1: want the number of prompts, found "%s"', path, lines[1])
  local count = math.min(n, all)
  local out = string.format("build/bench.%d.prompts", count)
  local file = assert(io.open(out, "w"))
  file:write(count, "\n", table.concat(lines, "\n", 2, count + 1), "\n")
  file:close()
  return out, count
end

-- Runs getp once -> the lines of its measurements.
local function measure_getp(bench, slots)
  local path, count = some_prompts(bench.prompts, PROMPTS_PER_SLOT * slots)
  local arguments = string.format("-m getp -n 0 -b %d", slots)
  local run = string.format("%s %s -i %s -o build/bench.ids %s", bench.getp, bench.checkpoint, path, arguments)
  local report = build.output_of(run)
  local rate, warm = report:match("TPS %(tok/s%): ([%d.]+)"), report:match("warm up elapsed time%(s%): ([%d.]+)")
  local command = "getp CHECKPOINT -i PROMPTS -o IDS " .. arguments
  local what = string.format("%d prompts greedy; %d at a time", count, slots)
  print(string.format("%s: %s: %s tok/s; warm after %s s", bench.tree, what, rate, warm))
  return record.line(bench.tree, what, rate, "tok/s", command),
    record.line(bench.tree, what .. ": warm up", warm, "s", command)
end

local function run_getp()
  local bench, lines = read_environment(), {}
  for slots in bench.slots:gmatch("%d+") do
    local rate, warm_up = measure_getp(bench, math.tointeger(tonumber(slots)))
    table.move({ rate, warm_up }, 1, 2, #lines + 1, lines)
  end
  write_lines(bench.is_cpu, lines)
end

-- ---- cpu ----

local function print_cpu(tree, parsed)
  print(string.format("%s, %d threads: memory reads %.1f GB/s (%.1f with one stream each), multiply-adds %.0f GFLOP/s",
    tree, parsed.threads, parsed.read / 1e9, parsed.read_alone / 1e9, parsed.multiply / 1e9))
  print("                          tok/s    median     GB/s  of reads  one stream   GFLOP/s  of multiply-adds")
  for _, job in ipairs(parsed.jobs) do
    local rows = samples.rows(parsed, job)
    print(string.format("%-22s %8.1f  %8.1f %8.2f %7.0f %% %9.0f %%  %8.1f %15.0f %%", job.name, job.best,
      job.median, rows[2].value, rows[3].value, rows[4].value, rows[5].value, rows[6].value))
  end
end

local function run_cpu()
  local jobs, rounds = getenv("BENCH_JOBS") or JOBS, getenv("BENCH_ROUNDS") or "4"
  local config = getenv("BENCH_CONFIG") or "tests/bench/eighth.json"
  local slots, context = build.sizes(jobs)
  local driver, tree = build.timed_driver(config, slots, context)
  local arguments = string.format(" %s %s", rounds, jobs)
  local parsed = samples.parse(build.output_of(driver .. " " .. build.quote(build.checkpoint(config)) .. arguments))
  local threads = string.format("; %d threads", parsed.threads)
  local command, lines = "drive CHECKPOINT" .. arguments, {}
  local function add(row) lines[#lines + 1] = record.line(tree, row.name .. threads, row.value, row.unit, command) end
  add { name = "memory reads", value = parsed.read / 1e9, unit = "GB/s" }
  add { name = "memory reads of one stream each", value = parsed.read_alone / 1e9, unit = "GB/s" }
  add { name = "float multiply-adds", value = parsed.multiply / 1e9, unit = "GFLOP/s" }
  for _, job in ipairs(parsed.jobs) do
    for _, row in ipairs(samples.rows(parsed, job)) do add(row) end
  end
  print_cpu(tree, parsed)
  write_lines(true, lines)
end

-- ---- instructions ----

-- Instructions of a job, all in all and by role.
local function count_by_callgrind(driver, job)
  local out = WORK .. "/callgrind.out"
  build.output_of(string.format("OMP_NUM_THREADS=1 %s --callgrind-out-file=%s --compress-strings=no --compress-pos=no "
    .. "--quiet %s --no-peaks tests/models/abacus 1 %s", CALLGRIND, out, driver, job))
  return counts.of_callgrind(table.concat(record.read_lines(out), "\n"))
end

-- The same without roles, by the counters of the processor; nil where they are not to be had. A second round costs as
-- much as the job.
local function count_by_perf(driver, job)
  local function count(rounds)
    local out = WORK .. "/perf.out"
    build.output_of(string.format("OMP_NUM_THREADS=1 perf stat -x , -e instructions:u -o %s %s --no-peaks "
      .. "tests/models/abacus %d %s", out, driver, rounds, job))
    return counts.of_perf(table.concat(record.read_lines(out), "\n"))
  end
  local once, twice = count(1), count(2)
  return once and twice and { total = twice - once, roles = {} }
end

-- The counts of a job as rows of { role =, value = (per token) }.
local function rows_of(counted, tokens)
  local rows = {}
  for i, each in ipairs(counted.roles) do rows[i] = { role = each.role, value = each.instructions / tokens } end
  if counted.rest then rows[#rows + 1] = { role = "outside of kernels", value = counted.rest / tokens } end
  rows[#rows + 1] = { role = "all", value = counted.total / tokens }
  return rows
end

local function change(now, before)
  if not before then return "new" end
  return now == before and "same" or string.format("%+.1f %%", 100 * (now / before - 1))
end

local function run_instructions()
  local tool = has "valgrind" and "valgrind" or has "perf" and "perf"
  local count = tool == "perf" and count_by_perf or count_by_callgrind
  if not tool then return print("instructions: want valgrind or perf, found none: ./gen/setup --bench") end
  local driver, tree, compiler = build.counted_driver()
  local command = (tool == "perf" and "perf stat -e instructions:u" or CALLGRIND) .. " drive --no-peaks CHECKPOINT 1 "
  local lines, shown = {}, {}
  for _, each in ipairs(COUNTED) do
    local counted = count(driver, each.job)
    if not counted then
      return print("instructions: want valgrind, or perf that counts, found neither: ./gen/setup --bench")
    end
    for _, row in ipairs(rows_of(counted, each.tokens)) do
      local value = string.format("%.0f", row.value)
      lines[#lines + 1] = record.line(tree, string.format("%s: %s; %s; %s", each.name, row.role, tool, compiler), value,
        "instructions/token", command .. each.job)
      shown[#shown + 1] = { name = each.name, role = row.role, value = value }
    end
  end
  print(tree .. ": instructions per token by " .. tool .. ", " .. compiler)
  local before = record.write("tests/bench/instructions.csv", lines)
  for i, row in ipairs(shown) do
    print(string.format("%-22s %-20s %10s  %s", row.name, row.role, row.value, change(tonumber(row.value), before[i])))
  end
  return print("recorded in tests/bench/instructions.csv")
end

local PARTS <const> = { getp = run_getp, cpu = run_cpu, instructions = run_instructions }

local parts = #arg > 0 and arg or getenv("BENCH_TREE") and { "getp" } or { "getp", "cpu", "instructions" }
for _, part in ipairs(parts) do
  if not PARTS[part] then fail("want getp, cpu or instructions, found %s", part) end
end
for _, part in ipairs(parts) do PARTS[part]() end
