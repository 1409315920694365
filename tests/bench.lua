-- `ninja bench` measures the rate of getp mode on this machine and writes it to tests/bench/MACHINE.csv. The rate is
-- that of other engines for the model: generated tokens over the time of inference, greedy, with at most 1024 tokens of
-- prompt and output per sequence. A new measurement replaces the line with the same tree and the same description.
--
-- Without settings it measures abacus-cpu on the prompts of the demo. The settings are environment variables:
--   BENCH_TREE        name of the tree, built as build/TREE/getp unless BENCH_GETP is the path of its getp
--   BENCH_CHECKPOINT  folder or packed file
--   BENCH_PROMPTS     file of prompts, with their number in its first line
--   BENCH_SLOTS       numbers of sequences that run at a time, say "896 256 1"; there are at most 16 prompts per slot
--   BENCH_MACHINE     name of the CSV file; by default that of the GPU or CPU

local MAX_TOKENS <const>, PROMPTS_PER_SLOT <const> = 1024, 16
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

-- ---- settings ----

-- "NVIDIA H200" -> "h200"; "Intel(R) Xeon(R) CPU @ 2.60GHz" with two cores -> "xeon-2"
local function machine_name(is_cpu)
  local text = is_cpu and output_of("grep -m 1 'model name' /proc/cpuinfo")
    or output_of("nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1")
    or output_of("rocminfo 2>/dev/null | grep -m 1 'Marketing Name.*Instinct'")
  local cores = is_cpu and "-" .. output_of("nproc"):match("%d+") or ""
  for _, word in ipairs(KNOWN) do
    if text and text:find(word, 1, true) then return word:lower() .. cores end
  end
  return fail("a machine without a name: want one in BENCH_MACHINE")
end

local function given()
  local getenv = os.getenv
  local tree = getenv("BENCH_TREE") or "abacus-cpu"
  local own = tree == "abacus-cpu"
  return {
    tree = tree, getp = getenv("BENCH_GETP") or "build/" .. tree .. "/getp",
    checkpoint = getenv("BENCH_CHECKPOINT") or own and "tests/models/abacus"
      or fail("%s: want a checkpoint in BENCH_CHECKPOINT", tree),
    prompts = getenv("BENCH_PROMPTS") or own and "tests/demo/prompts.txt"
      or fail("%s: want a file of prompts in BENCH_PROMPTS", tree),
    slots = getenv("BENCH_SLOTS") or own and "16 1" or "896 256 1",
    machine = getenv("BENCH_MACHINE") or machine_name(tree:find("%-cpu$") ~= nil),
  }
end

-- Writes the first n prompts of a file into a new file -> its path and the number of prompts.
local function some_prompts(path, n)
  local lines = read_lines(path) or fail("%s: no such file", path)
  local count = math.min(n, math.tointeger(tonumber(lines[1])) or fail("%s:1: want the number of prompts", path))
  local out = string.format("build/bench.%d.prompts", count)
  local file = assert(io.open(out, "w"))
  file:write(count, "\n", table.concat(lines, "\n", 2, count + 1), "\n")
  file:close()
  return out, count
end

-- ---- lines of the CSV file ----

-- Fields must not contain commas or quotes.
local function csv_line(bench, what, value, unit, command)
  local fields = { os.date("%Y-%m-%d"), bench.tree, what, value, unit, command }
  for i, field in ipairs(fields) do fields[i] = field:gsub("[,\"\n]", " ") end
  return table.concat(fields, ",")
end

local function key_of(line) return line:match("^[^,]*,([^,]*,[^,]*),") end

-- Replaces the lines of the same keys in the file, or appends new ones.
local function keep(path, measured)
  local lines, at = read_lines(path) or { HEADER }, {}
  for i, line in ipairs(lines) do at[key_of(line) or ""] = i end
  for _, line in ipairs(measured) do lines[at[key_of(line)] or #lines + 1] = line end
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
end

-- Runs getp once -> its lines.
local function measure(bench, slots)
  local path, count = some_prompts(bench.prompts, PROMPTS_PER_SLOT * slots)
  local arguments = string.format("-m getp -n %d -b %d", MAX_TOKENS, slots)
  local run = string.format("%s %s -i %s -o build/bench.ids %s", bench.getp, bench.checkpoint, path, arguments)
  local report = output_of(run) or fail("%s: it failed", run)
  local rate, warm = report:match("TPS %(tok/s%): ([%d.]+)"), report:match("warm up elapsed time%(s%): ([%d.]+)")
  local command = "getp CHECKPOINT -i PROMPTS -o IDS " .. arguments
  local what = string.format("%d prompts greedy; %d at a time", count, slots)
  print(string.format("%s: %s: %s tok/s; warm after %s s", bench.tree, what, rate, warm))
  return { csv_line(bench, what, rate, "tok/s", command), csv_line(bench, what .. ": warm up", warm, "s", command) }
end

local bench = given()
local path = "tests/bench/" .. bench.machine .. ".csv"
for slots in bench.slots:gmatch("%d+") do keep(path, measure(bench, math.tointeger(tonumber(slots)))) end
print("wrote " .. path)
