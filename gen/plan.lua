-- The limits of a pass, and where its activations and the KV cache lie.
--
-- limits = { slots (sequences at the same time), context (positions per slot), rows (per pass),
--   chunk (rows of one sequence per pass), logits (outputs whose whole logits a pass holds),
--   buckets (list of numbers of rows: passes are captured for each; nil: none is captured),
--   group_rows (the most rows of one sequence that attention takes together; nil: one),
--   parts ({ count, positions (per part) } of a sequence's keys for full attention; nil: one part holds them all) }
-- plan = {
--   buffers = list of { name = "BUF_H", offset, bytes, from, to (roles of the first and the last step
--     of its life) }, sorted by name,
--   arena_bytes,
--   rope_bytes (cos and sin of every position), rows_bytes (the row record of a pass), draws_bytes (how its ids are
--     picked), picked_bytes (the ids that the device picks), logits_bytes (logits of a pass, on the host),
--   kv = { sliding_positions, full_positions, layers = list of { symbol = "KV_07", attention,
--     sliding, full (layers of each kind before it) }, sliding, full (layers of each kind), bytes,
--     key_bytes (of a layer: the key and value of one position for all heads),
--     block (positions; 1: keys lie one after the other), width (elements of a key or value in floats, padded),
--     form = { block, key_width, value_depth (elements, padded), pad (halves after a region) }; nil: the cache is in
--     floats },
-- }
-- memory = {
--   items = list of { what, where = "mapped" (in the checkpoint) | "packed" | "device" | "host", bytes, symbol (the
--     macro of a generated header that has the bytes, or nil) }; items of 0 bytes are left out,
--   device_bytes, host_bytes (sums; mapped weights count for the device),
--   limit (bytes of the device, or nil: not bounded),
-- }
-- It refuses limits that are out of range and a plan that does not fit the device.

local ctext = require "gen.ctext"
local names = require "gen.names"
local sizes = require "gen.sizes"

local BYTES, padded, pieces = sizes.BYTES, sizes.padded, sizes.pieces

local plan = {}

local ALIGN <const> = 256 -- bytes: buffers begin at multiples of it
-- A row record (runtime/engine/state.h): the PASS_COUNTS of runtime/engine/pass.h; token, position, slot, output and
-- group of each row; the end of the last group.
local PASS_COUNTS <const>, ROW_NUMBERS <const> = 8, 5
local DRAW_BYTES <const> = 24 -- struct draw of runtime/formats/draw.h
local MOST_CONTEXT <const> = 1 << 23 -- positions: the cosines of all of them are counted in an int
local NAMED_ITEMS <const> = 3 -- in a message
local MOST_LOGITS <const> = 128 -- outputs whose logits a fused target keeps at the same time

-- The numbers of rows for which schedules are captured. A pass runs the smallest that holds its rows.
local function buckets(rows)
  local list = sizes.row_bounds(rows)
  if rows > 1 then list[#list + 1] = rows end
  return list
end

-- Parts of equal numbers of positions, in whole rounds of a block's waves: each wave does the same work in every part.
-- Because of the rounding there may be fewer parts than attention_parts.
local function attention_parts(model, target, context)
  local whole = not target.attention_part or context <= target.attention_part
  for _, layer in ipairs(whole and {} or model.layers) do
    if layer.attention == "full" then
      local most = math.min(target.attention_parts, pieces(context, target.attention_part))
      local held = padded(context, target.kv.block)
      local positions = padded(pieces(held, most), target.kv.block * target.attention_waves)
      return { count = pieces(held, positions), positions = positions }
    end
  end
  return nil
end

-- given = { slots, context }, each an integer or nil for the target's default.
function plan.limits(model, target, given)
  local defaults = target.defaults
  local context = given.context or math.min(defaults.context, model.max_positions)
  local slots = given.slots or defaults.slots
  if context < 1 or context > model.max_positions then
    error(string.format("--context: want 1 to %d (max_position_embeddings), got %d", model.max_positions, context), 0)
  end
  if context > MOST_CONTEXT then
    error(string.format("--context: want at most %d, got %d", MOST_CONTEXT, context), 0)
  end
  if slots < 1 or slots > 65536 then
    error(string.format("--slots: want 1 to 65536, got %d", slots), 0)
  end
  local limits = { slots = slots, context = context, rows = math.max(defaults.rows, slots),
    chunk = math.min(defaults.chunk, context) }
  limits.logits = target.fused and math.min(limits.rows, MOST_LOGITS) or limits.rows
  limits.buckets = target.fused and buckets(limits.rows)
  limits.parts = attention_parts(model, target, context)
  limits.group_rows = target.fused and target.group_rows(model)
  return limits
end

-- The steps that compute logits, and draw from them, run again for each piece of the outputs: a buffer that
-- lives in one of these steps lives in all of them.
local function extend_over_pieces(list, spans)
  local first, last
  for step, op in ipairs(list) do
    if op.when == "logits" or op.when == "sampled" then first, last = first or step, step end
  end
  for _, of in pairs(first and spans or {}) do
    for _, span in ipairs(of) do
      if span[1] <= last and span[2] >= first then
        span[1], span[2] = math.min(span[1], first), math.max(span[2], last)
      end
    end
  end
end

-- Where no thread waits for others between two steps, some threads are in one step and some in the other: a buffer that
-- lives in one of them lives in both.
local function extend_over_joins(list, spans, joins)
  local first, last = {}, {}
  for step, op in ipairs(list) do first[step] = joins and joins[op.role] and first[step - 1] or step end
  for step = #list, 1, -1 do last[step] = first[step + 1] == first[step] and last[step + 1] or step end
  for _, of in pairs(spans) do
    for _, span in ipairs(of) do span[1], span[2] = first[span[1]], last[span[2]] end
  end
end

-- { [name] = list of { from, to } }: the steps between which a buffer holds a value that a later step reads.
local function lifetimes(list, joins)
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
  extend_over_pieces(list, spans)
  extend_over_joins(list, spans, joins)
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

local function describe_buffers(built, model, limits, target)
  local spans, described = lifetimes(built.list, target.joins), {}
  local times = { row = limits.rows, output = limits.rows, logits = limits.logits, pass = 1 }
  for i, buffer in ipairs(built.buffers) do
    local count = buffer.count or target[buffer.count_of](model, limits.rows)
    local bytes, of = times[buffer.per] * count * BYTES[buffer.dtype], spans[buffer.name]
    described[i] = {
      name = names.buffer(buffer.name), bytes = bytes, size = padded(bytes, ALIGN), spans = of,
      from = built.list[of[1][1]].role, to = built.list[of[#of][2]].role,
    }
  end
  return described
end

-- Largest first, each at the lowest free offset.
local function lay_out(described)
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

-- Bytes of one position's key and value for all heads, and of the padding after the regions of all heads.
local function kv_costs(model, kv)
  local form = kv.form
  if not form then return 2 * model.n_kv_heads * kv.width * BYTES.F32, 0 end
  local position = model.n_kv_heads * (form.key_width + form.value_depth)
  return position * BYTES.F16, model.n_kv_heads * form.pad * BYTES.F16
end

-- The form of a cache in halves, from what the target says of every model (gen/precision/mixed.lua), or nil.
local function kv_form(model, of_target)
  return of_target and { block = of_target.block, key_width = padded(model.d_head, of_target.key_width),
    value_depth = padded(model.d_head, of_target.value_depth), pad = of_target.pad // BYTES.F16 }
end

-- A sliding layer keeps a ring of the window and one chunk, because all keys of a chunk are written before attention
-- runs for its first row.
local function kv_layout(model, limits, form, target)
  local block = form and form.block or target.kv_block or 1
  local kv = { layers = {}, sliding = 0, full = 0, form = form, block = block }
  kv.width = not form and padded(model.d_head, block) or nil
  kv.full_positions = padded(limits.context, block)
  kv.sliding_positions = math.min(kv.full_positions, padded((model.window or 0) + limits.chunk, block))
  for i, layer in ipairs(model.layers) do
    kv.layers[i] = { symbol = names.kv(layer), attention = layer.attention,
      sliding = kv.sliding, full = kv.full }
    kv[layer.attention] = kv[layer.attention] + 1
  end
  local positions = kv.sliding * kv.sliding_positions + kv.full * kv.full_positions
  local of_position, of_region = kv_costs(model, kv)
  kv.key_bytes = of_position
  kv.bytes = limits.slots * (positions * of_position + #kv.layers * of_region)
  return kv
end

function plan.arena(built, model, limits, target)
  local described = describe_buffers(built, model, limits, target)
  local result = {
    arena_bytes = lay_out(described), kv = kv_layout(model, limits, kv_form(model, target.kv), target),
    rope_bytes = limits.context * model.d_head * BYTES.F32,
    rows_bytes = (PASS_COUNTS + ROW_NUMBERS * limits.rows + 1) * BYTES.I32,
    draws_bytes = target.fused and limits.rows * DRAW_BYTES or 0,
    picked_bytes = target.fused and limits.rows * BYTES.I32 or 0,
    logits_bytes = limits.logits * model.vocab * BYTES.F32,
  }
  table.sort(described, function(a, b) return a.name < b.name end)
  result.buffers = described
  return result
end

local WEIGHTS_WHAT = { mapped = "weights read in place, %s", packed = "weights packed, %s" }

-- All memory that a getp of this plan allocates or maps.
function plan.memory(result, weights, target)
  local memory = { items = {}, device_bytes = 0, host_bytes = 0, limit = target.memory }
  local function add(what, where, bytes, symbol)
    if bytes == 0 then return end
    memory.items[#memory.items + 1] = { what = what, where = where, bytes = bytes, symbol = symbol }
    local sum = where == "host" and "host_bytes" or "device_bytes"
    memory[sum] = memory[sum] + bytes
  end
  for _, total in ipairs(weights.totals) do
    add(WEIGHTS_WHAT[total.where]:format(total.stored), total.where, total.bytes)
  end
  add("KV cache", "device", result.kv.bytes, "KV_BYTES")
  add("arena", "device", result.arena_bytes, "ARENA_BYTES")
  add("RoPE cos and sin", "device", result.rope_bytes, "ROPE_BYTES")
  add("rows", "device", result.rows_bytes, "ROWS_BYTES")
  add("draws", "device", result.draws_bytes, "DRAWS_BYTES")
  add("picked ids", "device", result.picked_bytes, "PICKED_BYTES")
  add("rows of two passes on the host", "host", 2 * result.rows_bytes, "2 * ROWS_BYTES")
  add("draws of two passes on the host", "host", 2 * result.draws_bytes, "2 * DRAWS_BYTES")
  add("picked ids of two passes on the host", "host", 2 * result.picked_bytes, "2 * PICKED_BYTES")
  add("logits on the host", "host", result.logits_bytes, "LOGITS_BYTES")
  add("staging on the host", "host", target.staging_bytes, "STAGING_BYTES")
  return memory
end

-- The largest items on the device, with their bytes, as text.
local function largest_items(memory)
  local order, texts = {}, {}
  for i, item in ipairs(memory.items) do
    if item.where ~= "host" then order[#order + 1] = { item = item, index = i } end
  end
  table.sort(order, function(a, b)
    if a.item.bytes ~= b.item.bytes then return a.item.bytes > b.item.bytes end
    return a.index < b.index
  end)
  for i = 1, math.min(NAMED_ITEMS, #order) do
    texts[i] = order[i].item.what .. ": " .. ctext.thousands(order[i].item.bytes)
  end
  return table.concat(texts, "; ")
end

local function check_memory(memory, weights, target)
  if not memory.limit or memory.device_bytes <= memory.limit then return end
  local weights_fit = weights.mapped_bytes + weights.packed_bytes <= memory.limit
  error(string.format("%s: want a plan of at most %s bytes, got %s (%s): %s", target.name,
    ctext.thousands(memory.limit), ctext.thousands(memory.device_bytes), largest_items(memory),
    weights_fit and "lower --slots or --context"
      or "the weights alone do not fit: give a smaller model, or a --target with more memory"), 0)
end

-- The gate: no two buffers that live at the same time overlap, and everything fits the device.
function plan.check(result, weights, target)
  for i, a in ipairs(result.buffers) do
    for j = 1, i - 1 do
      local b = result.buffers[j]
      local apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
      assert(apart or not overlap(a.spans, b.spans), a.name .. " and " .. b.name .. " overlap while both live")
    end
    assert(a.offset % ALIGN == 0 and a.offset + a.bytes <= result.arena_bytes, a.name .. " is outside the arena")
  end
  check_memory(plan.memory(result, weights, target), weights, target)
end

return plan
