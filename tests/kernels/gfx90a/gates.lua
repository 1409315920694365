-- The gates that a compiled gfx90a kernel must keep, and what holds for every kernel and compiler.

local gates = {}

-- The bounds for a kernel without matrix instructions. A SIMD has 512 registers per lane for all its waves: four waves,
-- which hide the latency of memory, leave 128 to each. A compute unit has 64 KiB of LDS.
local PLAIN = { vgprs = 128, lds = 65536, waves = 4 }

-- The bounds for kernels with matrix instructions, whose sums use the registers of two waves. The first gate counts
-- that fits the role and has one pattern that fits the kernel's name. In the hot loop: mfma_percent is the least per
-- cent of MFMAs among its instructions; lds_load and l1_load are the most per cent of their time for LDS and L1;
-- slots_per_mfma is the most issue slots (4 clocks) per 16x16x16 MFMA, which needs 8, and slots_per_tile per tile of
-- 16 keys and a KV head's queries. At 1.3 TB/s such a tile lasts 560 slots.
local GATES = {
  { name = "attention", roles = "^attn_", kernels = { "^f16_" }, waves = 2, slots_per_tile = 200,
    loads_in_flight = 20480 },
  { name = "rows that share weights", roles = "^norm_router$", kernels = { "^f32_" }, waves = 2 },
  { name = "large tiles", roles = "", kernels = { "<staged<[34],8,1,4,2>>$", "_many$" }, waves = 2, mfma_percent = 35,
    lds_load = 25, l1_load = 25, barriers_per_64_k = 1, slots_per_mfma = 11 },
  { name = "small tiles", roles = "", kernels = { "<staged<.*>>$", "<direct<.*>>$", "_one$", "_few$" }, waves = 2 },
}

-- No kernel may have any of these.
local NEVER = {
  { "vgpr_spills", "spilled VGPRs" }, { "sgpr_spills", "spilled SGPRs" }, { "scratch", "bytes of scratch memory" },
  { "calls", "calls of functions" },
}
-- What a gate may bound, and from which side.
local BOUNDS = {
  { "vgprs", "most", "VGPRs" }, { "lds", "most", "bytes of LDS" }, { "waves", "least", "waves a SIMD" },
  { "mfma_percent", "least", "per cent of MFMAs in the hot loop" },
  { "lds_load", "most", "per cent of the MFMAs' time for LDS" },
  { "l1_load", "most", "per cent of the MFMAs' time for L1" },
  { "barriers_per_64_k", "most", "barriers for 64 k" },
  { "loads_in_flight", "least", "bytes of loads in flight per compute unit" },
  { "slots_per_mfma", "most", "issue slots an MFMA", by_model = true },
  { "slots_per_tile", "most", "issue slots a tile of attention", by_model = true },
}

local function text(value) return string.format(value % 1 == 0 and "%d" or "%.1f", value) end

-- What a kernel must not have whatever compiler made it, as a list of texts.
function gates.spills(kernel)
  local list = {}
  for _, never in ipairs(NEVER) do
    local field, what = table.unpack(never)
    if kernel[field] ~= 0 then list[#list + 1] = string.format("want no %s, got %d", what, kernel[field]) end
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

-- The gate of a kernel in a role: the first that fits, or PLAIN for a kernel without matrix instructions. Nil if a
-- kernel has some and no gate fits.
function gates.of(role, kernel, measured)
  for _, gate in ipairs(GATES) do
    if fits(gate, role, kernel.name) then return gate end
  end
  return not measured.code and PLAIN or nil
end

-- What is wrong with a kernel under a gate, as a list of texts. Without figures.add_slots the bounds of slots
-- are left out.
function gates.complaints(kernel, measured, gate)
  local list = gates.spills(kernel)
  if not gate then
    list[#list + 1] = "it has matrix instructions, and no gate of tests/kernels/gfx90a/gates.lua is for it"
  end
  for _, bound in ipairs(gate and BOUNDS or {}) do
    local field, side, what = table.unpack(bound)
    local limit, value = gate[field], measured[field] or kernel[field]
    if limit and not value and not (bound.by_model and measured.code and not measured.slots) then
      list[#list + 1] = string.format("want at %s %d %s, but its loops have no such figure", side, limit, what)
    elseif limit and value and (side == "most" and value > limit or side == "least" and value < limit) then
      list[#list + 1] = string.format("want at %s %d %s, got %s", side, limit, what, text(value))
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
