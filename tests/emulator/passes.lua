-- Builds and runs tests/emulator/pass.c, and makes a table of what it writes.

local emulator = require "tests.emulator.emulator"
local lfs = require "lfs"

local passes = {}

local WORK <const> = "build/time"

local function fail(...)
  io.stderr:write("time: ", string.format(...), "\n")
  os.exit(1)
end

local function run(command) return os.execute(command) or fail("%s: the run failed", command) end

-- Builds the emulator and the program of a tree.
function passes.build(tree)
  if not lfs.attributes("generated/" .. tree .. "/build.ninja") then
    fail("TREE: want a tree in generated/, found %s", tree)
  end
  run("mkdir -p " .. WORK)
  local file = assert(io.open(WORK .. "/tree.ninja", "w"))
  file:write("timed = ", tree, "\n")
  file:close()
  local is_built, output = emulator.build()
  if not is_built then fail("the emulator cannot be built:\n%s", output) end
  run(string.format("ninja --quiet -f tests/emulator/time.ninja %s/pass/%s", WORK, tree))
end

-- ---- what the emulator writes ----

local function parse_kernel(line)
  local kernel = {}
  for name, value in line:gmatch("([%w_]+)=([^\t]*)") do kernel[name] = tonumber(value) or value end
  return kernel
end

local function new_step(role)
  return { role = role, times = 0, launches = 0, us = 0, longest = nil, kernels = {} }
end

-- Adds the kernels of a step that a pass runs so many times.
local function add(step, times, kernels)
  step.times = step.times + times
  for _, kernel in ipairs(kernels) do
    step.launches, step.us = step.launches + times, step.us + times * kernel.us
    step.launch_us = kernel.launch_us
    step.kernels[#step.kernels + 1] = kernel
    if not step.longest or kernel.us > step.longest.us then step.longest = kernel end
  end
end

-- The steps of a file by role, in the order of the schedule: list of { role, times, launches, us, longest, kernels }.
-- kernels has those that were launched, longest the one of them that takes longest. us and launches count all that a
-- pass runs.
function passes.parse(text)
  local steps, by_role, kernels = {}, {}, {}
  for line in text:gmatch("[^\n]+") do
    local role, times = line:match("^step (%S+) (%d+)$")
    if role then
      if not by_role[role] then
        by_role[role] = new_step(role)
        steps[#steps + 1] = by_role[role]
      end
      add(by_role[role], math.tointeger(times), kernels)
      kernels = {}
    else
      kernels[#kernels + 1] = parse_kernel(line)
    end
  end
  return steps
end

-- Runs a pass of so many rows -> its steps. options: tree, context, skew, roles.
function passes.run(options, rows)
  local path = WORK .. "/launches.txt"
  os.remove(path)
  run(string.format("%s%s/pass/%s %s %s %s %s %s", emulator.prefix("EMULATOR_TIME=1 EMULATOR_TIME_FILE=" .. path), WORK,
    options.tree, rows, options.context, options.skew, path, options.roles))
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return passes.parse(text)
end

-- ---- the table ----

-- Title, width, and the text of a step.
local COLUMNS <const> = {
  { "step", -14, function(step) return step.role end },
  { "x", 3, function(step) return step.times end },
  { "us", 8, function(step) return string.format("%.1f", step.us / step.times) end },
  { "ms", 7, function(step) return string.format("%.3f", step.us / 1e3) end },
  { "MFMA", 5, "mfma" }, { "VALU", 5, "valu" }, { "LDS", 4, "lds" }, { "conflicts", 9, "conflicts" },
  { "L1", 4, "l1" },
  { "L2", 4, "l2" }, { "HBM", 4, "hbm" },
  { "GB/s", 6, function(step) return string.format("%.0f", step.longest.gbs) end },
  { "waves", 6, function(step) return string.format("%.2f", step.longest.waves) end },
  { "rounds", 7, function(step) return string.format("%.2f", step.longest.rounds) end },
  { "CUs", 4, "cus" },
  { " bound", -1, function(step) return " " .. step.longest.bound end },
}

local function cell(column, step)
  local what = column[3]
  if type(what) == "function" then return what(step) end
  return string.format("%.0f", 100 * step.longest[what])
end

local function row(text_of)
  local cells = {}
  for i, column in ipairs(COLUMNS) do cells[i] = string.format("%" .. column[2] .. "s", text_of(column)) end
  return (table.concat(cells, " "):gsub("%s+$", ""))
end

-- A line per role that launches kernels. us: per step, ms: per pass, both without the gaps between launches. The other
-- columns are those of the role's longest kernel; busy times are in per cent.
function passes.table(steps)
  local lines = { row(function(column) return column[1] end) }
  for _, step in ipairs(steps) do
    if step.longest then lines[#lines + 1] = row(function(column) return cell(column, step) end) end
  end
  return table.concat(lines, "\n")
end

-- The milliseconds of a pass.
function passes.milliseconds(steps)
  local us = 0
  for _, step in ipairs(steps) do us = us + step.us + step.launches * (step.launch_us or 0) end
  return us / 1e3
end

-- `896 rows: 84.47 ms, 10607 tok/s`
function passes.summary(steps, rows)
  local ms = passes.milliseconds(steps)
  return string.format("%s rows: %.2f ms, %.0f tok/s", rows, ms, tonumber(rows) / ms * 1e3)
end

return passes
