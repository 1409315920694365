-- What a pass may carry, and where its activations and the KV cache lie.
--
-- limits = { slots (sequences at a time), context (positions of a slot), rows (of a pass),
--   chunk (rows of one sequence in a pass) }
-- plan = {
--   buffers = list of { name = "BUF_H", offset, bytes, from, to (roles of its first write and last
--     use) }, sorted by name,
--   arena_bytes, workspace_bytes (of one thread),
--   kv = { sliding_positions, full_positions, layers = list of { symbol = "KV_07", attention,
--     sliding, full (layers of each kind before it) }, sliding, full (layers of each kind), bytes },
-- }
-- It refuses limits that are out of range and a plan that does not fit the device.

local ctext = require "gen.ctext"

local plan = {}

local ALIGN = 256
local BYTES = { F32 = 4, I32 = 4 }

-- given = { slots, context }, each an integer or nil for the target's default.
function plan.limits(model, target, given)
  local defaults = target.defaults
  local context = given.context or math.min(defaults.context, model.max_positions)
  local slots = given.slots or defaults.slots
  if context < 1 or context > model.max_positions then
    error(string.format("--context %d: want 1 to %d (max_position_embeddings)", context, model.max_positions), 0)
  end
  if slots < 1 or slots > 65536 then
    error(string.format("--slots %d: want 1 to 65536", slots), 0)
  end
  return { slots = slots, context = context, rows = math.max(defaults.rows, slots),
    chunk = math.min(defaults.chunk, context) }
end

-- [name] = list of { from, to }: the steps between which a buffer holds a value that will be read.
local function lifetimes(list)
  local spans = {}
  for step, op in ipairs(list) do
    for _, argument in ipairs(op.arguments) do
      if argument.type == "buffer" then
        local of = spans[argument.value] or {}
        spans[argument.value] = of
        if argument.access == "write" then of[#of + 1] = { step, step } end
        of[#of][2] = step
      end
    end
  end
  return spans
end

local function overlap(a, b)
  for _, one in ipairs(a) do
    for _, other in ipairs(b) do
      if one[1] <= other[2] and other[1] <= one[2] then return true end
    end
  end
  return false
end

-- The lowest offset at which `buffer` touches no placed buffer that lives at the same time.
local function first_fit(buffer, placed)
  local offset, moved = 0, true
  while moved do
    moved = false
    for _, other in ipairs(placed) do
      local clear = offset + buffer.size <= other.offset or other.offset + other.size <= offset
      if not clear and overlap(buffer.spans, other.spans) then
        offset, moved = other.offset + other.size, true
      end
    end
  end
  return offset
end

local function describe_buffers(built, limits)
  local spans, described = lifetimes(built.list), {}
  local times = { row = limits.rows, output = limits.rows, pass = 1 }
  for i, buffer in ipairs(built.buffers) do
    local bytes, of = times[buffer.per] * buffer.count * BYTES[buffer.dtype], spans[buffer.name]
    described[i] = {
      name = "BUF_" .. buffer.name:upper(), bytes = bytes, size = (bytes + ALIGN - 1) // ALIGN * ALIGN, spans = of,
      from = built.list[of[1][1]].role, to = built.list[of[#of][2]].role,
    }
  end
  return described
end

-- Largest first, each at the lowest free offset.
local function place(described)
  local order, placed, total = table.move(described, 1, #described, 1, {}), {}, 0
  table.sort(order, function(a, b)
    if a.size ~= b.size then return a.size > b.size end
    return a.name < b.name
  end)
  for _, buffer in ipairs(order) do
    buffer.offset = first_fit(buffer, placed)
    placed[#placed + 1] = buffer
    total = math.max(total, buffer.offset + buffer.size)
  end
  return total
end

-- A sliding layer keeps a ring: the window, and a chunk more, since a chunk's keys are all written
-- before its first row is attended.
local function kv_layout(model, limits)
  local kv = { layers = {}, sliding = 0, full = 0, full_positions = limits.context }
  kv.sliding_positions = math.min(limits.context, (model.window or 0) + limits.chunk)
  for i, layer in ipairs(model.layers) do
    kv.layers[i] = { symbol = string.format("KV_%02d", layer.index), attention = layer.attention,
      sliding = kv.sliding, full = kv.full }
    kv[layer.attention] = kv[layer.attention] + 1
  end
  local positions = kv.sliding * kv.sliding_positions + kv.full * kv.full_positions
  kv.bytes = 2 * limits.slots * model.n_kv_heads * model.d_head * 4 * positions
  return kv
end

function plan.arena(built, kernels, model, limits)
  local described = describe_buffers(built, limits)
  local result = { arena_bytes = place(described), workspace_bytes = 0, kv = kv_layout(model, limits) }
  for _, kernel in ipairs(kernels.list) do
    local bytes = (kernel.workspace + ALIGN - 1) // ALIGN * ALIGN
    result.workspace_bytes = math.max(result.workspace_bytes, bytes)
  end
  table.sort(described, function(a, b) return a.name < b.name end)
  result.buffers = described
  return result
end

-- The gate: no two live buffers share a byte, and everything fits the device.
function plan.check(result, weights, target)
  for i, a in ipairs(result.buffers) do
    for j = 1, i - 1 do
      local b = result.buffers[j]
      local apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
      assert(apart or not overlap(a.spans, b.spans), a.name .. " and " .. b.name .. " overlap while both live")
    end
    assert(a.offset % ALIGN == 0 and a.offset + a.bytes <= result.arena_bytes, a.name .. " is outside the arena")
  end
  local total = weights.mapped_bytes + weights.packed_bytes + result.arena_bytes + result.kv.bytes
  if target.memory and total > target.memory then
    error(string.format("%s bytes do not fit the %s of %s: lower --slots or --context",
      ctext.thousands(total), ctext.thousands(target.memory), target.name), 0)
  end
end

return plan
