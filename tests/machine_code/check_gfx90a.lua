-- Judges the machine code of the gfx90a kernels without a GPU: those of every committed tree, and those that only a
-- long context needs. A kernel must compile without a warning, spill no register, use no scratch memory, and keep its
-- gate (gfx90a/gates.lua), which limits the figures of its hot loop. Prints TAP, one test per kernel and compiler, and
-- a table.
--
--   lua5.4 tests/machine_code/check_gfx90a.lua             runs the tests
--   lua5.4 tests/machine_code/check_gfx90a.lua --table [FILE.hip...]
--                                                          prints only the table, of matrix kernels or of each FILE
--   lua5.4 tests/machine_code/check_gfx90a.lua --figures   writes gen/target/gfx90a_figures.lua, for summary.txt

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"
local assembly = require "tests.machine_code.gfx90a.assembly"
local compile = require "tests.machine_code.gfx90a.compile"
local figures = require "tests.machine_code.gfx90a.figures"
local gates = require "tests.machine_code.gfx90a.gates"
local mca = require "tests.machine_code.gfx90a.mca"
local report = require "tests.machine_code.gfx90a.report"
local support = require "tests.support"

local BUILD_COMPILER = compile.compilers[1]

local function sorted(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Kernel files of attention in parts of the keys, which only a longer context than any committed tree's needs.
local function long_context()
  local out, name = support.scratch .. "/gfx90a_trees", "gpt-oss-20b-gfx90a-long"
  local status, _, message = support.run(string.format("lua5.4 gen/main.lua --config gen/configs/gpt-oss-20b.json "
    .. "--target gfx90a --slots 4 --context 131072 --name %s --out %s", name, out))
  if status ~= 0 then error(message, 0) end
  local folder = out .. "/" .. name
  return { folder .. "/attn_full.hip", folder .. "/attn_merge.hip" }
end

-- Every kernel file of every committed gfx90a tree.
local function committed()
  local paths = {}
  for _, tree in ipairs(sorted("generated", "%-gfx90a")) do
    for _, name in ipairs(sorted("generated/" .. tree, "%.hip$")) do
      paths[#paths + 1] = string.format("generated/%s/%s", tree, name)
    end
  end
  return paths
end

local function all_paths()
  local paths, more = committed(), long_context()
  return table.move(more, 1, #more, #paths + 1, paths)
end

local function jobs_of(paths, compilers)
  local jobs = {}
  for _, path in ipairs(paths) do
    for _, compiler in ipairs(compilers) do
      if not compiler.missing then jobs[#jobs + 1] = { path = path, compiler = compiler } end
    end
  end
  return jobs
end

-- The kernels of an assembly with their figures: list of { path, compiler, kernel, measured, failure (or nil) }.
local function measure(job, text)
  local list = {}
  for _, kernel in ipairs(assembly.parse(text)) do
    local each = { path = job.path, compiler = job.compiler, kernel = kernel, measured = figures.measure(kernel) }
    if each.measured.code and not mca.missing and kernel.calls == 0 then
      local slots, failure = mca.slots(each.measured.code, job.out)
      each.failure = failure
      if slots then figures.add_slots(each.measured, slots) end
    end
    list[#list + 1] = each
  end
  return list
end

-- ---- tests ----

local count, failed = 0, false

local function report_test(label, remarks)
  count, failed = count + 1, failed or #remarks > 0
  print(string.format("%s %d - %s", #remarks == 0 and "ok" or "not ok", count, label))
  for _, remark in ipairs(remarks) do print("# " .. remark:gsub("\n$", ""):gsub("\n", "\n# ")) end
end

local function skip(label, reason)
  count = count + 1
  print(string.format("ok %d - %s # SKIP %s", count, label, reason))
end

-- Code of the build's compiler must keep its gate; code of another compiler must only be free of spills.
local function judge(each, used)
  local label = string.format("%s: %s, %s", each.path, each.kernel.name, each.compiler.name)
  if each.compiler ~= BUILD_COMPILER then return report_test(label, gates.spills(each.kernel)) end
  local gate = gates.of(each.path:match("([^/]+)%.hip$"), each.kernel, each.measured)
  local remarks = gates.complaints(each.kernel, each.measured, gate)
  remarks[#remarks + 1] = each.failure
  if gate and gate.name then used[gate] = true end
  report_test(label, remarks)
end

-- Fails for a gate that fits no kernel: the names of its kernels have changed.
local function judge_gates(used)
  if not next(used) then return end
  local unused = gates.unused(used)
  local remark = "want a kernel under each gate, found none under: " .. table.concat(unused, "; ")
  report_test("every gate has a kernel", unused[1] and { remark } or {})
end

local function judge_figures(judged)
  local version = require("gen.target.gfx90a_figures").compiler
  local label = report.figures_path .. " is up to date"
  if version ~= BUILD_COMPILER.version then
    return skip(label, string.format("want clang %s, found clang %s", version, BUILD_COMPILER.version))
  end
  if mca.missing then return skip(label, mca.missing) end
  local current = support.read(report.figures_path) == report.figures(judged, version)
  report_test(label, current and {} or { "want the figures of this machine code, found others: run `ninja figures`" })
end

-- Calls receive(list of `measure`) for each file and compiler; a file with a warning or without a kernel is reported.
local function each_file(paths, compilers, receive)
  compile.each(jobs_of(paths, compilers), function(job, text, output)
    local label = job.path .. ", " .. job.compiler.name
    if not text or output:find("warning:", 1, true) then return report_test(label, { output }) end
    local list = measure(job, text)
    if #list == 0 then return report_test(label, { "want a kernel, found none" }) end
    receive(list)
  end)
end

local function test()
  local judged, used = {}, {}
  if #committed() == 0 then report_test("generated", { "want a tree for gfx90a, found none" }) end
  if compile.compilers[2].missing then skip("spills of clang 22", compile.compilers[2].missing) end
  if mca.missing then skip("issue slots", mca.missing) end
  each_file(all_paths(), compile.compilers, function(list)
    for _, each in ipairs(list) do
      judge(each, used)
      judged[#judged + 1] = each
    end
  end)
  judge_gates(used)
  judge_figures(judged)
  print(string.format("1..%d", count))
  for _, line in ipairs(report.table(judged)) do print("# " .. line) end
end

-- ---- the table and the figures ----

local function collect(paths, compilers)
  local list = {}
  each_file(paths, compilers, function(measured) table.move(measured, 1, #measured, #list + 1, list) end)
  return list
end

-- Prints the table of all kernels of the given files; without files, of all kernels with matrix instructions.
local function show(paths)
  local list, shown = collect(paths[1] and paths or all_paths(), compile.compilers), {}
  for _, each in ipairs(list) do
    if paths[1] or each.measured.code then shown[#shown + 1] = each end
  end
  for _, line in ipairs(report.table(shown)) do print(line) end
end

local function write_figures()
  local missing = BUILD_COMPILER.missing or mca.missing
  if missing then
    io.stderr:write("tests/machine_code/check_gfx90a.lua: --figures: want hipcc and llvm-mca-22, found ", missing,
      ": run ./gen/setup --test\n")
    os.exit(1)
  end
  local list = collect(all_paths(), { BUILD_COMPILER })
  if failed then return end
  local file = assert(io.open(report.figures_path, "w"))
  assert(file:write(report.figures(list, BUILD_COMPILER.version)))
  assert(file:close())
end

if arg[1] == "--figures" then
  write_figures()
elseif BUILD_COMPILER.missing then
  print("ok 1 # SKIP " .. BUILD_COMPILER.missing)
elseif arg[1] == "--table" then
  show { table.unpack(arg, 2) }
else
  test()
end
os.exit(not failed)
