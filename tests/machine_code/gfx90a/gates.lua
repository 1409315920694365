-- The gates: limits that the machine code of every gfx90a kernel must keep.
--
-- gate = {
--   name (for messages), roles (a pattern of the role), kernels (patterns of the kernel's name, one of which fits),
--   and limits by the names of figures.lua: vgprs, lds, loads_in_flight in bytes; waves of a SIMD; mfma_percent of the
--   hot loop's instructions; lds_load and l1_load in per cent of the time of its MFMAs; barriers_per_64_k;
--   slots_per_mfma and slots_per_tile in issue slots of 4 clocks, in each of which a SIMD issues one instruction,
-- }

local gates = {}

-- A kernel with matrix instructions comes under the first gate that fits its role and its name. Its sums need the
-- registers of two waves. A 16x16x16 MFMA runs for 8 issue slots, so slots_per_mfma cannot be less; llvm-mca knows one
-- wave and no memory, and counts loads between MFMAs as waits, so only the largest tiles have a limit. A tile of
-- attention is 16 keys and the queries of one KV head; at 1.3 TB/s its keys and values arrive in 560 issue slots.
local GATES <const> = {
  { name = "attention", roles = "^attn_", kernels = { "^f16_" }, waves = 2, slots_per_tile = 200,
    loads_in_flight = 20480 },
  { name = "rows that share weights", roles = "^norm_router$", kernels = { "^f32_" }, waves = 2 },
  { name = "largest tiles", roles = "", kernels = { "<staged<4,8,1,4,2>>$" }, waves = 2, mfma_percent = 35,
    lds_load = 25, l1_load = 25, barriers_per_64_k = 1, slots_per_mfma = 11 },
  { name = "large tiles", roles = "", kernels = { "<staged<3,8,1,4,2>>$", "_many$" }, waves = 2, mfma_percent = 35,
    lds_load = 25, l1_load = 25, barriers_per_64_k = 1 },
  { name = "small tiles", roles = "", kernels = { "<staged<.*>>$", "<direct<.*>>$", "_one$", "_few$", "_some$" },
    waves = 2 },
}

-- The limits of every other kernel. A SIMD has 512 registers per lane for all its waves: four waves, which hide the
-- latency of memory, leave 128 to each. A compute unit has 64 KiB of LDS.
local WITHOUT_MFMA <const> = { vgprs = 128, lds = 65536, waves = 4 }

-- No kernel may have any of these.
local NEVER <const> = {
  { "vgpr_spills", "spilled VGPRs" }, { "sgpr_spills", "spilled SGPRs" }, { "scratch", "bytes of scratch memory" },
  { "calls", "calls of functions" },
}

-- The limits that a gate may set, and on which side of the figure they lie.
local LIMITS <const> = {
  { "vgprs", "most", "VGPRs" }, { "lds", "most", "bytes of LDS" }, { "waves", "least", "waves per SIMD" },
  { "mfma_percent", "least", "per cent of MFMAs in the hot loop" },
  { "lds_load", "most", "per cent of the MFMAs' time for LDS" },
  { "l1_load", "most", "per cent of the MFMAs' time for L1" },
  { "barriers_per_64_k", "most", "barriers per 64 k" },
  { "loads_in_flight", "least", "bytes of loads in flight per compute unit" },
  { "slots_per_mfma", "most", "issue slots per MFMA", by_model = true },
  { "slots_per_tile", "most", "issue slots per tile of attention", by_model = true },
}

local function text(value) return string.format(value % 1 == 0 and "%d" or "%.1f", value) end

-- Lists as texts what no compiler may put into a kernel but this one did.
function gates.spills(kernel)
  local list = {}
  for _, never in ipairs(NEVER) do
    local field, what = table.unpack(never)
    if kernel[field] ~= 0 then list[#list + 1] = string.format("want no %s, found %d", what, kernel[field]) end
  end
  return list
end

local function fits(gate, role, name)
  if not role:find(gate.roles) then return false end
  for _, pattern in ipairs(gate.kernels) do
    if name:find(pattern) then return true end
  end
  return false
end

-- The gate of a kernel in a role: the first that fits, else the limits of kernels without matrix instructions. Nil if
-- no gate fits and the kernel has matrix instructions.
function gates.of(role, kernel, measured)
  for _, gate in ipairs(GATES) do
    if fits(gate, role, kernel.name) then return gate end
  end
  return not measured.code and WITHOUT_MFMA or nil
end

-- Lists as texts what is wrong with a kernel under its gate. Limits of issue slots are skipped if figures.add_slots
-- was not called, since llvm-mca may be missing.
function gates.complaints(kernel, measured, gate)
  local list = gates.spills(kernel)
  if not gate then
    list[#list + 1] = "want a gate for a kernel with matrix instructions, found none: add one to "
      .. "tests/machine_code/gfx90a/gates.lua"
  end
  for _, limit in ipairs(gate and LIMITS or {}) do
    local field, side, what = table.unpack(limit)
    local want, value = gate[field], measured[field] or kernel[field]
    if want and not value and not (limit.by_model and measured.code and not measured.slots) then
      list[#list + 1] = string.format("want at %s %d %s, found no loop with that figure", side, want, what)
    elseif want and value and (side == "most" and value > want or side == "least" and value < want) then
      list[#list + 1] = string.format("want at %s %d %s, found %s", side, want, what, text(value))
    end
  end
  return list
end

-- The names of the gates that are not in `used`, a set of gates.
function gates.unused(used)
  local names = {}
  for _, gate in ipairs(GATES) do
    if not used[gate] then names[#names + 1] = gate.name end
  end
  return names
end

return gates
