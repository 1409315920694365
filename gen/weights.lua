-- model, target -> the tensors of a tree, and where each of them lies.
--
-- weights = {
--   tensors = list of tensor, in the order of weights.inc: those outside the layers, then layer by layer,
--   of = { [symbol] = tensor },
--   mapped_bytes, packed_bytes (with the padding that aligns the tensors),
--   totals = list of { where = "mapped" | "packed", stored, bytes }: the same by stored dtype,
-- }
-- tensor = {
--   symbol = "W_07_Q", name = "model.layers.7.self_attn.q_proj.weight" (as in the checkpoint),
--   form = "PLAIN" | "MXFP4" (NAME_blocks and NAME_scales) | "TRANSPOSED" (experts, k, n),
--   shape = { 4096, 2880 } as stored, before any padding; stored = "BF16" | "F32" | "F16" | "MXFP4", layout =
--     "CONTIGUOUS" | "PAIRS" | "TILES" | "PAIRED_TILES" | "WOVEN_TILES" (runtime/formats/tiles.h) |
--     "PANELS" (runtime/formats/panels.h), bytes,
--   offset = byte offset in the packed weights, or nil: the tensor is read in place from the checkpoint's map,
-- }

local names = require "gen.names"
local panels = require "gen.panels"
local sizes = require "gen.sizes"
local tiles = require "gen.tiles"

local weights = {}

local ALIGN <const> = 64 -- bytes: packed tensors begin at cache lines

local function elements(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- Kinds: "vector", "heads" (a vector along the heads of q or k), "table" (of which single rows are read), "router",
-- "matrix", "head_matrix" (its features are those of heads of q or k), "experts". The target says how it stores a
-- matrix. A vector becomes F32, which holds every dtype exactly and costs next to nothing.
local function storage(kind, model, target)
  if kind == "vector" then return "F32", "CONTIGUOUS" end
  if kind == "heads" then return "F32", target.pairs_features and "PAIRS" or "CONTIGUOUS" end
  return target.stored(kind, model)
end

local function stored_bytes(shape, stored, layout)
  if layout == "CONTIGUOUS" or layout == "PAIRS" then return elements(shape) * sizes.BYTES[stored] end
  local n, k, matrices = shape[#shape - 1], shape[#shape], #shape == 3 and shape[1] or 1
  local format = layout == "PANELS" and panels or tiles
  return format.bytes(matrices, n, k, stored)
end

local function is_mapped(kind, stored, layout, model, target)
  if kind == "vector" or kind == "heads" or not target.maps_checkpoint then return false end
  return layout == "CONTIGUOUS" and stored == model.dtype
end

-- The weights of one MoE matrix, whose unpacked form in the checkpoint is [experts, k, n].
local function expert_tensors(add, model, symbol, name, n, k)
  local form = model.experts == "mxfp4" and "MXFP4" or "TRANSPOSED"
  add("experts", symbol, name, { model.n_experts, n, k }, form)
  add("vector", symbol .. "_BIAS", name .. "_bias", { model.n_experts, n })
end

local function attention_tensors(add, model)
  local q, kv, d = model.n_heads * model.d_head, model.n_kv_heads * model.d_head, model.d_model
  local matrices = {
    { of_heads = true, symbol = "Q", name = "q_proj", n = q, k = d },
    { of_heads = true, symbol = "K", name = "k_proj", n = kv, k = d },
    { symbol = "V", name = "v_proj", n = kv, k = d },
    { symbol = "O", name = "o_proj", n = d, k = q },
  }
  add("vector", "ATTN_NORM", "input_layernorm.weight", { d })
  for _, each in ipairs(matrices) do
    add(each.of_heads and "head_matrix" or "matrix", each.symbol, "self_attn." .. each.name .. ".weight",
      { each.n, each.k })
  end
  for _, each in ipairs(model.attention_bias and matrices or {}) do
    add(each.of_heads and "heads" or "vector", each.symbol .. "_BIAS", "self_attn." .. each.name .. ".bias", { each.n })
  end
  add("vector", "SINKS", "self_attn.sinks", { model.n_heads })
end

local function mlp_tensors(add, model)
  add("vector", "MLP_NORM", "post_attention_layernorm.weight", { model.d_model })
  add("router", "ROUTER", "mlp.router.weight", { model.n_experts, model.d_model })
  add("vector", "ROUTER_BIAS", "mlp.router.bias", { model.n_experts })
  expert_tensors(add, model, "GATE_UP", "mlp.experts.gate_up_proj", 2 * model.d_ff, model.d_model)
  expert_tensors(add, model, "DOWN", "mlp.experts.down_proj", model.d_model, model.d_ff)
end

local function head_tensors(add, model)
  local embedding = "model.embed_tokens.weight"
  add("table", "W_EMBED", embedding, { model.vocab, model.d_model })
  add("vector", "W_NORM", "model.norm.weight", { model.d_model })
  add("matrix", "W_UNEMBED", model.tied and embedding or "lm_head.weight", { model.vocab, model.d_model })
end

-- Adds to the total of one dtype in one memory; the first tensor makes the total.
local function count(list, where, stored, bytes)
  for _, total in ipairs(list.totals) do
    if total.where == where and total.stored == stored then
      total.bytes = total.bytes + bytes
      return
    end
  end
  list.totals[#list.totals + 1] = { where = where, stored = stored, bytes = bytes }
end

-- A function that appends tensors to `list`; a packed tensor lies after the packed tensor before it.
local function appender(list, model, target)
  return function(kind, symbol, name, shape, form)
    local stored, layout = storage(kind, model, target)
    local tensor = { symbol = symbol, name = name, form = form or "PLAIN", shape = shape, stored = stored,
      layout = layout, bytes = stored_bytes(shape, stored, layout) }
    if is_mapped(kind, stored, layout, model, target) then
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
  local list = { tensors = {}, of = {}, mapped_bytes = 0, packed_bytes = 0, totals = {} }
  local add = appender(list, model, target)
  head_tensors(add, model)
  for _, layer in ipairs(model.layers) do
    local function add_layer(kind, symbol, name, shape, form)
      add(kind, names.weight(layer, symbol), string.format("model.layers.%d.%s", layer.index, name), shape, form)
    end
    attention_tensors(add_layer, model)
    mlp_tensors(add_layer, model)
  end
  return list
end

-- The gate: no symbol is listed twice, and no two packed tensors overlap.
function weights.check(list)
  local seen, last = {}, 0
  for _, tensor in ipairs(list.tensors) do
    assert(not seen[tensor.symbol], tensor.symbol .. " is listed twice")
    seen[tensor.symbol] = true
    if tensor.offset then
      assert(tensor.offset >= last, tensor.symbol .. " overlaps the tensor before it")
      last = tensor.offset + tensor.bytes
    end
  end
  assert(last <= list.packed_bytes, "the packed weights run over their end")
end

return weights
