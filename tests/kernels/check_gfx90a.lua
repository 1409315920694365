-- What hipcc makes of the kernels of every committed gfx90a tree, by its own report: no warning, no spilled
-- register, no scratch memory, and no more than gen/target/gfx90a.lua allows. Prints TAP, one test a kernel,
-- and a table. Needs the compiler, not the GPU.

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"
local limits = require("gen.target.gfx90a").kernel_limits
local support = require "tests.support"

local REPORT = "-Rpass-analysis=kernel-resource-usage"
local LDS, WAVES = "LDS Size [bytes/block]", "Occupancy [waves/SIMD]"
local AT_A_TIME = 2 -- compilers

-- What the report says of each kernel, and what it must be.
local CHECKS = {
  { name = "VGPRs Spill", most = 0 }, { name = "SGPRs Spill", most = 0 },
  { name = "ScratchSize [bytes/lane]", most = 0 },
  { name = "VGPRs", most = limits.vgprs }, { name = LDS, most = limits.lds }, { name = WAVES, least = limits.waves },
}
local COLUMNS = { "VGPRs", "AGPRs", "SGPRs", LDS, WAVES }
local ROW = "# %-45s %5s %5s %5s %5s %10s"

local function sorted(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The compile command of runtime/build.ninja, without its include path of the tree.
local function compiler()
  local text = support.read("runtime/build.ninja"):gsub(" %$\n +", " ")
  return assert(text:match("\ngfx90a_compile = ([^\n]+)"), "runtime/build.ninja: want gfx90a_compile")
end

-- Every kernel file of every tree: list of { label, command }.
local function list_files()
  local files, compile = {}, compiler()
  for _, tree in ipairs(sorted("generated", "%-gfx90a")) do
    local folder = "generated/" .. tree
    for _, name in ipairs(sorted(folder, "%.hip$")) do
      local object = string.format("%s/%s_%s.o", support.scratch, tree, name)
      files[#files + 1] = { label = tree .. "/" .. name,
        command = string.format("%s -I%s %s -c %s/%s -o %s 2>&1", compile, folder, REPORT, folder, name, object) }
    end
  end
  return files
end

-- The name of a static function, which the compiler writes as _ZL, its length, itself and its parameters.
local function plain_name(symbol)
  local length, rest = symbol:match("^_ZL?(%d+)(.*)$")
  return length and rest:sub(1, math.tointeger(length)) or symbol
end

-- The kernels of a report: list of { symbol, [name of CHECKS or COLUMNS] = number }. ROCm 6 counts the
-- SGPRs as "TotalSGPRs".
local function parse(report)
  local kernels = {}
  for what, value in report:gmatch("remark: +([%w /%[%]]+): (%S+) %[") do
    if what == "Function Name" then
      kernels[#kernels + 1] = { symbol = plain_name(value) }
    elseif kernels[1] then
      kernels[#kernels][what:gsub("^Total", "")] = math.tointeger(value)
    end
  end
  return kernels
end

-- The compiler takes a block's LDS to burden one SIMD of the four that share it. A block of 256 threads puts
-- one wave on each, so a SIMD has as many waves as blocks have room.
local function correct_waves(kernel)
  local lds, waves = kernel[LDS], kernel[WAVES]
  if lds and waves and lds > 0 then kernel[WAVES] = math.min(waves, limits.lds // lds) end
end

-- What is wrong with a kernel, as a list of texts.
local function complaints(kernel)
  local list = {}
  for _, check in ipairs(CHECKS) do
    local value, most, least = kernel[check.name], check.most, check.least
    if not value then
      list[#list + 1] = check.name .. ": not in the compiler's report"
    elseif most and value > most or least and value < least then
      list[#list + 1] = string.format("%s: want at %s %d, got %d", check.name, most and "most" or "least",
        most or least, value)
    end
  end
  return list
end

local count, failed = 0, false

local function tell(label, remarks)
  count, failed = count + 1, failed or #remarks > 0
  print(string.format("%s %d - %s", #remarks == 0 and "ok" or "not ok", count, label))
  for _, remark in ipairs(remarks) do print("# " .. remark:gsub("\n$", ""):gsub("\n", "\n# ")) end
end

local function row(label, kernel)
  local cells = {}
  for i, name in ipairs(COLUMNS) do cells[i] = kernel[name] or "?" end
  return string.format(ROW, label, table.unpack(cells))
end

-- Judges what the compiler said about a file, and adds a row a kernel to the table.
local function judge(file, output, succeeded, rows)
  local kernels = parse(output)
  if not succeeded or output:find("warning:", 1, true) then return tell(file.label, { output }) end
  if #kernels == 0 then return tell(file.label, { "no kernel in the compiler's report" }) end
  for _, kernel in ipairs(kernels) do
    correct_waves(kernel)
    tell(file.label .. ": " .. kernel.symbol, complaints(kernel))
    rows[#rows + 1] = row(file.label, kernel)
  end
end

local function main()
  if not os.execute("command -v hipcc >/dev/null") then
    print("ok 1 # SKIP no hipcc")
    return
  end
  assert(os.execute("mkdir -p " .. support.scratch))
  local files, pipes, rows = list_files(), {}, {}
  for i = 1, #files + AT_A_TIME - 1 do
    if files[i] then pipes[i] = assert(io.popen(files[i].command)) end
    local ready = i - AT_A_TIME + 1
    if pipes[ready] then judge(files[ready], pipes[ready]:read("a"), pipes[ready]:close(), rows) end
  end
  if #files == 0 then tell("generated", { "want a tree for gfx90a, found none" }) end
  print(string.format("1..%d", count))
  print(string.format(ROW, "kernel", "VGPRs", "AGPRs", "SGPRs", "LDS", "waves/SIMD"))
  print(table.concat(rows, "\n"))
end

main()
os.exit(not failed)
