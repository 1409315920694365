-- Issue slots that one wave needs for one iteration of a loop, by llvm-mca's model of gfx90a. The model has in-order
-- issue, the pipelines and the counters of s_waitcnt. It has no other waves, bank conflicts, cache misses (beyond the
-- latencies below) or barriers.

local isa = require "tests.machine_code.gfx90a.isa"
local mca = {}

local PROGRAM = "llvm-mca-22"
local ARGUMENTS = "-mtriple=amdgcn-amd-amdhsa -mcpu=gfx90a -instruction-info=0 -resource-pressure=0 "
  .. "-skip-unsupported-instructions=any"
local ITERATIONS = 20
local SECONDS = 3 -- a run takes a few hundredths of a second, or never ends
local TIMED_OUT = 124 -- the exit status of timeout
-- Issue slots until the result of a load arrives: 64 and 600 clocks. The model's own values, 5 and 80, are too low.
local LDS_LATENCY, MEMORY_LATENCY = 16, 150

mca.missing = not os.execute("command -v " .. PROGRAM .. " >/dev/null") and "no " .. PROGRAM or nil

-- Issue slots until the result of a load arrives; nil for an instruction that loads nothing.
local function latency(op)
  local access = isa.access(op)
  if not access or access.kind == "write" or access.kind == "atomic" then return nil end
  if access.space == "global" then return MEMORY_LATENCY end
  return access.bytes > 8 and LDS_LATENCY * access.bytes // 8 or LDS_LATENCY
end

-- Replaces an addition with carry by one without. llvm-mca 22 never ends on some loops with carries; without them a
-- loop needs one or two per cent fewer slots.
local function without_carry(text)
  text = text:gsub("^v_addc_co_u32(_%w+) ([^,]+), [^,]+, ([^,]+, [^,]+),.*$", "v_add_u32%1 %2, %3")
  return (text:gsub("^v_add_co_u32(_%w+) ([^,]+), [^,]+, ", "v_add_u32%1 %2, "))
end

-- The line of an instruction for llvm-mca, or nil for one that it cannot model. It follows no branch.
local function line(each, change)
  if each.op:find("^s_c?branch") then return "s_nop 0" end
  if each.op == "s_barrier" or each.text:find("@", 1, true) or each.op:find("getpc", 1, true) then return nil end
  local slots, text = latency(each.op), change(each.text)
  return slots and string.format("# LLVM-MCA-LATENCY %d\n%s\n# LLVM-MCA-LATENCY", slots, text) or text
end

-- Runs llvm-mca on the code, each instruction changed by `change` -> its exit status, its output.
local function run(code, folder, change)
  local lines = { "# LLVM-MCA-BEGIN" }
  for _, each in ipairs(code) do lines[#lines + 1] = line(each, change) end
  lines[#lines + 1] = "# LLVM-MCA-END\n"
  local path = folder .. "/loop.s"
  local file = assert(io.open(path, "w"))
  assert(file:write(table.concat(lines, "\n")))
  file:close()
  local pipe = assert(io.popen(string.format("timeout %d %s %s -iterations=%d %s 2>&1", SECONDS, PROGRAM, ARGUMENTS,
    ITERATIONS, path)))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  return status, output
end

-- The issue slots of one iteration of `code`; or nil and a message of llvm-mca. Its input is written to `folder`.
function mca.slots(code, folder)
  local status, output = run(code, folder, function(text) return text end)
  if status == TIMED_OUT then status, output = run(code, folder, without_carry) end
  if status == TIMED_OUT then return nil, string.format("%s: want an end within %d s, found none", PROGRAM, SECONDS) end
  local cycles = output:match("Total Cycles: +(%d+)")
  if status ~= 0 or not cycles or output:find("warning:", 1, true) then return nil, PROGRAM .. ": " .. output end
  return cycles / ITERATIONS
end

return mca
