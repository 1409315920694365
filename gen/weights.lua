-- model, target -> the tensors of a tree and where each of them lies.
--
-- weights = {
--   tensors = list of tensor, in the order of weights.inc: those of no layer, then layer after layer,
--   of = { [symbol] = tensor },
--   mapped_bytes, packed_bytes (with what aligns the tensors),
--   parts = list of { place = "mapped" | "packed", stored, bytes }: the same by stored dtype,
-- }
-- tensor = {
--   symbol = "W_07_Q", name = "model.layers.7.self_attn.q_proj.weight" (as the checkpoint has it),
--   source = "PLAIN" | "MXFP4" (NAME_blocks and NAME_scales) | "TRANSPOSED" (experts, k, n),
--   shape = { 4096, 2880 } as stored, before any padding; stored = "BF16" | "F32" | "F16" | "MXFP4" | "U8" (MXFP4
--     codes and scales as the checkpoint has them), layout = "CONTIGUOUS" | "PAIRS" | "TILES" | "PAIRED_TILES" |
--     "WOVEN_TILES" (runtime/tiles.h), bytes,
--   offset = byte offset in the packed weights, or nil: read in place from the checkpoint's map,
-- }

local names = require "gen.names"
local sizes = require "gen.sizes"
local tiles = require "gen.tiles"

local weights = {}

local ALIGN = 64 -- of a packed tensor: a cache line

local function elements(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- Kinds: "vector", "heads" (a vector along the heads of q or k), "table" (read row by row), "matrix", "head_matrix"
-- (its rows are those of heads of q or k), "experts", "codes" (MXFP4 in the checkpoint's form). The target says how
-- it stores a matrix; a vector becomes F32, which holds every source type exactly and costs next to nothing.
local function storage(kind, model, target)
  if kind == "codes" then return "U8", "CONTIGUOUS" end
  if kind == "vector" then return "F32", "CONTIGUOUS" end
  if kind == "heads" then return "F32", target.pairs_features and "PAIRS" or "CONTIGUOUS" end
  return target.stored(kind, model)
end

local function stored_bytes(shape, stored, layout)
  if not layout:find("TILES") then return elements(shape) * sizes.BYTES[stored] end
  local n, k, matrices = shape[#shape - 1], shape[#shape], #shape == 3 and shape[1] or 1
  return tiles.bytes(matrices, n, k, stored)
end

local function is_mapped(kind, stored, model, target)
  if kind == "vector" or kind == "heads" or not target.maps_checkpoint then return false end
  return kind == "codes" or stored == model.dtype
end

-- The weights of one MoE matrix: as the checkpoint has them, packed or in HF's unpacked layout
-- [experts, k, n]; or, where the target expands them, as [experts, n, k].
local function expert_tensors(add, model, target, symbol, name, n, k)
  if target.expands_experts then
    local source = model.experts == "mxfp4" and "MXFP4" or "TRANSPOSED"
    add("experts", symbol, name, { model.n_experts, n, k }, source)
  elseif model.experts == "mxfp4" then
    add("codes", symbol, name .. "_blocks", { model.n_experts, n, k // 32, 16 })
    add("codes", symbol .. "_SCALES", name .. "_scales", { model.n_experts, n, k // 32 })
  else
    add("matrix", symbol, name, { model.n_experts, k, n })
  end
  add("vector", symbol .. "_BIAS", name .. "_bias", { model.n_experts, n })
end

local function attention_tensors(add, model)
  local q, kv, h = model.n_heads * model.d_head, model.n_kv_heads * model.d_head, model.d_model
  add("vector", "ATTN_NORM", "input_layernorm.weight", { h })
  local parts = { { "Q", "q_proj", q, h }, { "K", "k_proj", kv, h }, { "V", "v_proj", kv, h }, { "O", "o_proj", h, q } }
  for i, part in ipairs(parts) do
    local symbol, name, n, k = table.unpack(part)
    add(i <= 2 and "head_matrix" or "matrix", symbol, "self_attn." .. name .. ".weight", { n, k })
  end
  for i, part in ipairs(model.attention_bias and parts or {}) do
    local symbol, name, n = table.unpack(part)
    add(i <= 2 and "heads" or "vector", symbol .. "_BIAS", "self_attn." .. name .. ".bias", { n })
  end
  add("vector", "SINKS", "self_attn.sinks", { model.n_heads })
end

local function mlp_tensors(add, model, target)
  add("vector", "MLP_NORM", "post_attention_layernorm.weight", { model.d_model })
  add("table", "ROUTER", "mlp.router.weight", { model.n_experts, model.d_model })
  add("vector", "ROUTER_BIAS", "mlp.router.bias", { model.n_experts })
  expert_tensors(add, model, target, "GATE_UP", "mlp.experts.gate_up_proj", 2 * model.d_ff, model.d_model)
  expert_tensors(add, model, target, "DOWN", "mlp.experts.down_proj", model.d_model, model.d_ff)
end

local function head_tensors(add, model)
  local embedding = "model.embed_tokens.weight"
  add("table", "W_EMBED", embedding, { model.vocab, model.d_model })
  add("vector", "W_NORM", "model.norm.weight", { model.d_model })
  add("matrix", "W_UNEMBED", model.tied and embedding or "lm_head.weight", { model.vocab, model.d_model })
end

-- Adds to the part of a place and a dtype, which comes into being with its first tensor.
local function count(list, place, stored, bytes)
  for _, part in ipairs(list.parts) do
    if part.place == place and part.stored == stored then
      part.bytes = part.bytes + bytes
      return
    end
  end
  list.parts[#list.parts + 1] = { place = place, stored = stored, bytes = bytes }
end

-- A function that appends tensors to `list`, each placed behind the one before it.
local function appender(list, model, target)
  return function(kind, symbol, name, shape, source)
    local stored, layout = storage(kind, model, target)
    local tensor = { symbol = symbol, name = name, source = source or "PLAIN", shape = shape, stored = stored,
      layout = layout, bytes = stored_bytes(shape, stored, layout) }
    if is_mapped(kind, stored, model, target) then
      list.mapped_bytes = list.mapped_bytes + tensor.bytes
      count(list, "mapped", stored, tensor.bytes)
    else
      local aligned = sizes.padded(tensor.bytes, ALIGN)
      tensor.offset = list.packed_bytes
      list.packed_bytes = list.packed_bytes + aligned
      count(list, "packed", stored, aligned)
    end
    list.tensors[#list.tensors + 1] = tensor
    list.of[symbol] = tensor
  end
end

function weights.list(model, target)
  local list = { tensors = {}, of = {}, mapped_bytes = 0, packed_bytes = 0, parts = {} }
  local add = appender(list, model, target)
  head_tensors(add, model)
  for _, layer in ipairs(model.layers) do
    local function add_layer(kind, symbol, name, shape, source)
      add(kind, names.weight(layer, symbol),
        string.format("model.layers.%d.%s", layer.index, name), shape, source)
    end
    attention_tensors(add_layer, model)
    mlp_tensors(add_layer, model, target)
  end
  return list
end

-- The gate: every symbol stands once, and no two packed tensors overlap.
function weights.check(list)
  local seen, last = {}, 0
  for _, tensor in ipairs(list.tensors) do
    assert(not seen[tensor.symbol], tensor.symbol .. " stands twice")
    seen[tensor.symbol] = true
    if tensor.offset then
      assert(tensor.offset >= last, tensor.symbol .. " overlaps the tensor before it")
      last = tensor.offset + tensor.bytes
    end
  end
  assert(last <= list.packed_bytes, "the packed weights run over their end")
end

return weights
