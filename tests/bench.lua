-- `ninja bench`: measures the throughput of `-m getp` on this machine and records it in tests/bench/MACHINE.csv. The
-- rule is that of other engines for this model: generated tokens over the time of inference, greedy, 1024 tokens of a
-- prompt and its output together. A new measurement replaces the line with the same tree and the same `what`.
--
-- By default it measures abacus-cpu on the prompts of the demo. The environment can say otherwise:
--   BENCH_TREE        the tree, built as build/TREE/getp, or as BENCH_GETP
--   BENCH_CHECKPOINT  folder or packed file
--   BENCH_PROMPTS     file of prompts, the number of them in its first line
--   BENCH_SLOTS       numbers of sequences that run at a time: "896 256 1"; each slot gets at most 16 prompts
--   BENCH_MACHINE     name of the CSV file; by default the name of the GPU or CPU

local PROMPTS_PER_SLOT <const> = 16
local KNOWN <const> = { "H100", "H200", "MI250", "MI300", "Xeon", "EPYC", "Ryzen" }
local HEADER <const> = "date,tree,what,value,unit,command"

local function fail(...)
  io.stderr:write("bench: ", string.format(...), "\n")
  os.exit(1)
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return pipe:close() and text or nil
end

local function read_lines(path)
  local lines, file = {}, io.open(path)
  if not file then return nil end
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  return lines
end

-- ---- the tree and the machine ----

-- "NVIDIA H200" -> "h200", "Intel(R) Xeon(R) CPU @ 2.60GHz" of two cores -> "xeon-2"
local function machine_name(is_cpu)
  local text = is_cpu and output_of("grep -m 1 'model name' /proc/cpuinfo")
    or output_of("nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1")
    or output_of("rocminfo 2>/dev/null | grep -m 1 'Marketing Name.*Instinct'")
  local cores = is_cpu and "-" .. output_of("nproc"):match("%d+") or ""
  for _, word in ipairs(KNOWN) do
    if text and text:find(word, 1, true) then return word:lower() .. cores end
  end
  return fail("BENCH_MACHINE: want a name for this machine, found none")
end

-- What to measure, from the environment.
local function read_environment()
  local getenv = os.getenv
  local tree = getenv("BENCH_TREE") or "abacus-cpu"
  local own = tree == "abacus-cpu"
  return {
    tree = tree, getp = getenv("BENCH_GETP") or "build/" .. tree .. "/getp",
    checkpoint = getenv("BENCH_CHECKPOINT") or own and "tests/models/abacus"
      or fail("BENCH_CHECKPOINT: want a checkpoint for %s, found none", tree),
    prompts = getenv("BENCH_PROMPTS") or own and "tests/demo/prompts.txt"
      or fail("BENCH_PROMPTS: want a file of prompts for %s, found none", tree),
    slots = getenv("BENCH_SLOTS") or own and "16 1" or "896 256 1",
    machine = getenv("BENCH_MACHINE") or machine_name(tree:find("%-cpu$") ~= nil),
  }
end

-- Writes the first n prompts of a file to a new file -> its path, the number of prompts in it.
local function some_prompts(path, n)
  local lines = read_lines(path) or fail("%s: cannot read the file", path)
  local all = math.tointeger(tonumber(lines[1]))
    or fail('%s:1: want the number of prompts, found "%s"', path, lines[1])
  local count = math.min(n, all)
  local out = string.format("build/bench.%d.prompts", count)
  local file = assert(io.open(out, "w"))
  file:write(count, "\n", table.concat(lines, "\n", 2, count + 1), "\n")
  file:close()
  return out, count
end

-- ---- lines of the CSV file ----

-- Commas and quotes in a field become spaces.
local function line_of(bench, what, value, unit, command)
  local fields = { os.date("%Y-%m-%d"), bench.tree, what, value, unit, command }
  for i, field in ipairs(fields) do fields[i] = field:gsub("[,\"\n]", " ") end
  return table.concat(fields, ",")
end

local function key_of(line) return line:match("^[^,]*,([^,]*,[^,]*),") end

-- Writes lines to the file, in place of those with the same key or at the end.
local function record(path, new_lines)
  local lines, at = read_lines(path) or { HEADER }, {}
  for i, line in ipairs(lines) do at[key_of(line) or ""] = i end
  for _, line in ipairs(new_lines) do lines[at[key_of(line)] or #lines + 1] = line end
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
end

-- Runs getp once -> the lines of its measurements.
local function measure(bench, slots)
  local path, count = some_prompts(bench.prompts, PROMPTS_PER_SLOT * slots)
  local arguments = string.format("-m getp -n 0 -b %d", slots)
  local run = string.format("%s %s -i %s -o build/bench.ids %s", bench.getp, bench.checkpoint, path, arguments)
  local report = output_of(run) or fail("%s: the run failed", run)
  local rate, warm = report:match("TPS %(tok/s%): ([%d.]+)"), report:match("warm up elapsed time%(s%): ([%d.]+)")
  local command = "getp CHECKPOINT -i PROMPTS -o IDS " .. arguments
  local what = string.format("%d prompts greedy; %d at a time", count, slots)
  print(string.format("%s: %s: %s tok/s; warm after %s s", bench.tree, what, rate, warm))
  return { line_of(bench, what, rate, "tok/s", command), line_of(bench, what .. ": warm up", warm, "s", command) }
end

local bench = read_environment()
local path = "tests/bench/" .. bench.machine .. ".csv"
for slots in bench.slots:gmatch("%d+") do record(path, measure(bench, math.tointeger(tonumber(slots)))) end
print("recorded in " .. path)
