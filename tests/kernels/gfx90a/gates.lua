-- What a compiled kernel must keep: the gates of gen/target/gfx90a.lua, and what holds for every kernel and
-- compiler.

local target = require("gen.target.gfx90a").mixed
local gates = {}

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
  { "loads_in_flight", "least", "bytes of loads in flight a compute kblock" },
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

-- The gate of a kernel in a role: the first of the target's that fits, or what holds for kernels without
-- matrix instructions. Nil if it has some and no gate is for it.
function gates.of(role, kernel, measured)
  for _, gate in ipairs(target.gates) do
    if fits(gate, role, kernel.name) then return gate end
  end
  return not measured.code and target.kernel_limits or nil
end

-- What is wrong with a kernel under a gate, as a list of texts. Without figures.add_slots the bounds of slots
-- are left out.
function gates.complaints(kernel, measured, gate)
  local list = gates.spills(kernel)
  if not gate then list[#list + 1] = "it has matrix instructions, and no gate of gen/target/gfx90a.lua is for it" end
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

-- The names of the target's gates that are not in `used`, a set of gates.
function gates.unused(used)
  local names = {}
  for _, gate in ipairs(target.gates) do
    if not used[gate] then names[#names + 1] = gate.name end
  end
  return names
end

return gates
