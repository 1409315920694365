-- What the compilers make of the kernels of every committed gfx90a tree, and of those that only a long context has,
-- without the GPU: no warning, no spilled register, no scratch memory, and the gates of gen/target/gfx90a.lua, which
-- look at the hot loop of each kernel with matrix instructions. Prints TAP, one test for each kernel and compiler, and
-- a table.
--
--   lua5.4 tests/machine_code/check_gfx90a.lua             the tests
--   lua5.4 tests/machine_code/check_gfx90a.lua --table [FILE.hip...]
--                                                     the table alone, of matrix kernels or of all of FILE
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

local OF_BUILD = compile.compilers[1]

local function sorted(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The kernels of full attention that takes the keys in parts: no committed tree has a context that long.
local function long_context()
  local out, name = support.scratch .. "/gfx90a_trees", "gpt-oss-20b-gfx90a-long"
  local status, _, message = support.run(string.format("lua5.4 gen/main.lua --config gen/configs/gpt-oss-20b.json "
    .. "--target gfx90a --slots 4 --context 131072 --name %s --out %s", name, out))
  if status ~= 0 then error(message, 0) end
  local folder = out .. "/" .. name
  return { folder .. "/attn_full.hip", folder .. "/attn_merge.hip" }
end

-- Every kernel file of every gfx90a tree.
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

-- The kernels of an assembly with their figures: list of { path, compiler, kernel, measured, failure }.
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

local function tell(label, remarks)
  count, failed = count + 1, failed or #remarks > 0
  print(string.format("%s %d - %s", #remarks == 0 and "ok" or "not ok", count, label))
  for _, remark in ipairs(remarks) do print("# " .. remark:gsub("\n$", ""):gsub("\n", "\n# ")) end
end

local function skip(label, reason)
  count = count + 1
  print(string.format("ok %d - %s # SKIP %s", count, label, reason))
end

-- The build's compiler must keep the gates, any other must only not spill.
local function judge(each, used)
  local label = string.format("%s: %s, %s", each.path, each.kernel.name, each.compiler.name)
  if each.compiler ~= OF_BUILD then return tell(label, gates.spills(each.kernel)) end
  local gate = gates.of(each.path:match("([^/]+)%.hip$"), each.kernel, each.measured)
  local remarks = gates.complaints(each.kernel, each.measured, gate)
  remarks[#remarks + 1] = each.failure
  if gate and gate.name then used[gate] = true end
  tell(label, remarks)
end

-- A gate that no kernel came under has lost its kernels to a change of names.
local function judge_gates(used)
  if not next(used) then return end
  local unused = gates.unused(used)
  tell("every gate has a kernel", unused[1] and { "no kernel came under: " .. table.concat(unused, "; ") } or {})
end

local function judge_figures(judged)
  local version = require("gen.target.gfx90a_figures").compiler
  local label = report.figures_path .. " is what the compiler makes"
  if version ~= OF_BUILD.version then
    return skip(label, string.format("it is of clang %s, hipcc has %s", version, OF_BUILD.version))
  end
  if mca.missing then return skip(label, mca.missing) end
  local current = support.read(report.figures_path) == report.figures(judged, version)
  tell(label, current and {} or { "want `ninja figures` to make it anew" })
end

-- take(list of measure) for each file and compiler that has nothing to warn of.
local function each_file(paths, compilers, take)
  compile.each(jobs_of(paths, compilers), function(job, text, output)
    local label = job.path .. ", " .. job.compiler.name
    if not text or output:find("warning:", 1, true) then return tell(label, { output }) end
    local list = measure(job, text)
    if #list == 0 then return tell(label, { "want a kernel, found none" }) end
    take(list)
  end)
end

local function test()
  local judged, used = {}, {}
  if #committed() == 0 then tell("generated", { "want a tree for gfx90a, found none" }) end
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

-- ---- what else it can do ----

local function collect(paths, compilers)
  local list = {}
  each_file(paths, compilers, function(measured) table.move(measured, 1, #measured, #list + 1, list) end)
  return list
end

-- Of the given files all kernels, of the committed ones those with matrix instructions.
local function show(paths)
  local list, shown = collect(paths[1] and paths or all_paths(), compile.compilers), {}
  for _, each in ipairs(list) do
    if paths[1] or each.measured.code then shown[#shown + 1] = each end
  end
  for _, line in ipairs(report.table(shown)) do print(line) end
end

local function write_figures()
  local missing = OF_BUILD.missing or mca.missing
  if missing then
    io.stderr:write("tests/machine_code/check_gfx90a.lua: --figures: want what ./gen/setup --test installs, ", missing, "\n")
    os.exit(1)
  end
  local list = collect(all_paths(), { OF_BUILD })
  if failed then return end
  local file = assert(io.open(report.figures_path, "w"))
  assert(file:write(report.figures(list, OF_BUILD.version)))
  assert(file:close())
end

if arg[1] == "--figures" then
  write_figures()
elseif OF_BUILD.missing then
  print("ok 1 # SKIP " .. OF_BUILD.missing)
elseif arg[1] == "--table" then
  show { table.unpack(arg, 2) }
else
  test()
end
os.exit(not failed)
