-- Issue slots that one wave needs for a turn of a loop, by llvm-mca's model of gfx90a: issue in order, the
-- kblocks' pipes, the counters of s_waitcnt. It knows no other wave, no bank conflict, no cache miss beyond the
-- latencies given here, and no barrier.

local isa = require "tests.machine_code.gfx90a.isa"
local mca = {}

local PROGRAM = "llvm-mca-22"
local ARGUMENTS = "-mtriple=amdgcn-amd-amdhsa -mcpu=gfx90a -instruction-info=0 -resource-pressure=0 "
  .. "-skip-unsupported-instructions=any"
local TURNS = 20
local PATIENCE, ENDLESS = 3, 124 -- seconds for what takes a few hundredths; timeout's status
-- Slots until a load's result is there, more than the model's own 5 and 80: 64 and 600 clocks.
local LDS_LATENCY, MEMORY_LATENCY = 16, 150

mca.missing = not os.execute("command -v " .. PROGRAM .. " >/dev/null") and "no " .. PROGRAM or nil

local function latency(op)
  local access = isa.access(op)
  if not access or access.kind == "write" or access.kind == "atomic" then return nil end
  if access.space == "global" then return MEMORY_LATENCY end
  return access.bytes > 8 and LDS_LATENCY * access.bytes // 8 or LDS_LATENCY
end

-- Additions as if they had no carry. With it llvm-mca 22 does not come to an end in some loops; without it a loop
-- takes one or two per cent fewer slots.
local function without_carry(text)
  text = text:gsub("^v_addc_co_u32(_%w+) ([^,]+), [^,]+, ([^,]+, [^,]+),.*$", "v_add_u32%1 %2, %3")
  return (text:gsub("^v_add_co_u32(_%w+) ([^,]+), [^,]+, ", "v_add_u32%1 %2, "))
end

-- The line of an instruction, or nil for what the model has no use for: it takes no branch.
local function line(each, change)
  if each.op:find("^s_c?branch") then return "s_nop 0" end
  if each.op == "s_barrier" or each.text:find("@", 1, true) or each.op:find("getpc", 1, true) then return nil end
  local slots, text = latency(each.op), change(each.text)
  return slots and string.format("# LLVM-MCA-LATENCY %d\n%s\n# LLVM-MCA-LATENCY", slots, text) or text
end

-- Runs the program on the code, its instructions changed by `change` -> its exit status, what it said.
local function run(code, folder, change)
  local lines = { "# LLVM-MCA-BEGIN" }
  for _, each in ipairs(code) do lines[#lines + 1] = line(each, change) end
  lines[#lines + 1] = "# LLVM-MCA-END\n"
  local path = folder .. "/loop.s"
  local file = assert(io.open(path, "w"))
  assert(file:write(table.concat(lines, "\n")))
  file:close()
  local pipe = assert(io.popen(string.format("timeout %d %s %s -iterations=%d %s 2>&1", PATIENCE, PROGRAM, ARGUMENTS,
    TURNS, path)))
  local output = pipe:read("a")
  local _, _, status = pipe:close()
  return status, output
end

-- The slots, or nil and what llvm-mca said. `folder` is for its input.
function mca.slots(code, folder)
  local status, output = run(code, folder, function(text) return text end)
  if status == ENDLESS then status, output = run(code, folder, without_carry) end
  if status == ENDLESS then return nil, string.format("%s: want an end within %d s", PROGRAM, PATIENCE) end
  local cycles = output:match("Total Cycles: +(%d+)")
  if status ~= 0 or not cycles or output:find("warning:", 1, true) then return nil, PROGRAM .. ": " .. output end
  return cycles / TURNS
end

return mca
