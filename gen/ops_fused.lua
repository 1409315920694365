-- model, target, limits -> the operations of one pass for precision `mixed`, the same record as that of gen/ops.lua.
-- Operations are fused if one launch can run them. A norm is part of the operation before it, RoPE and the KV cache are
-- part of the projections, the router is part of its norm. The head has three forms; a pass runs one of them. Over
-- long contexts full attention takes the keys in parts (limits.parts), and a step of its own merges them.

local arguments = require "gen.arguments"
local names = require "gen.names"
local padded = require("gen.sizes").padded

local reads, writes, updates, weight = arguments.reads, arguments.writes, arguments.updates, arguments.weight

local SUMS_HEAD <const> = 2 -- before the segments: the members of vocab_sums in runtime/target/mixed/draw.h
local STATE_NUMBERS <const> = 2 -- per head, after its mix: part_state of runtime/target/mixed/attention.h

-- The buffers of a pass. The operand of a matrix is padded to whole kblocks per row.
local function buffers(model, target, limits)
  local top = model.top_k
  local list = {
    { name = "x", count = model.d_model },
    { name = "h", count = padded(model.d_model, 64), dtype = "F16" },
    { name = "q", count = model.n_heads * padded(model.d_head, 32), dtype = "F16" },
    { name = "attn", count = padded(model.n_heads * model.d_head, 64), dtype = "F16" },
    { name = "splits", count = target.splits(model) * model.d_model },
    { name = "router_logits", count = model.n_experts },
    { name = "arrived", count = 1, dtype = "I32" },
    { name = "expert", count = top, dtype = "I32" },
    { name = "expert_weight", count = top },
    { name = "pair", count = top, dtype = "I32" },
    { name = "work", per = "pass", count_of = "work_numbers", dtype = "I32" },
    { name = "gated", count = top * padded(model.d_ff, 64), dtype = "F16" },
    { name = "down", count = top * model.d_model },
    { name = "best", per = "output", count = 2 * target.best_entries(model) },
    { name = "logits", per = "logits", count = model.vocab },
    { name = "sums", per = "logits", count = SUMS_HEAD + target.segments(model), dtype = "I64" },
  }
  if limits.parts then
    local state = model.n_heads * (model.d_head + STATE_NUMBERS)
    list[#list + 1] = { name = "parts", count = limits.parts.count * state, least = state }
  end
  for _, buffer in ipairs(list) do buffer.per, buffer.dtype = buffer.per or "row", buffer.dtype or "F32" end
  return list
end

local function attention_ops(add, model, layer, parts, w)
  local kv, positions = arguments.kv(layer), arguments.positions(layer)
  local qkv = { weight("q", w("Q")), weight("k", w("K")), weight("v", w("V")) }
  for _, name in ipairs(model.attention_bias and { "q", "k", "v" } or {}) do
    qkv[#qkv + 1] = weight(name .. "_bias", w(name:upper() .. "_BIAS"))
  end
  add("matmul_qkv", "matmul_qkv", reads("in", "h"), writes("out", "q"), kv, positions, table.unpack(qkv))
  if parts and layer.attention == "full" then
    add("attention_parts", "attn_full", reads("in", "q"), writes("out", "parts"), kv)
    add("attention_merge", "attn_merge", reads("in", "parts"), writes("out", "attn"), weight("sinks", w("SINKS")))
  else
    add("attention", "attn_" .. layer.attention, reads("in", "q"), writes("out", "attn"), kv,
      weight("sinks", w("SINKS")))
  end
  add("matmul_o", "matmul_o", reads("in", "attn"), writes("out", "splits"), weight("weight", w("O")))
end

-- next_norm: the weight of the norm after the layer.
local function mlp_ops(add, model, w, next_norm)
  local norm = { reads("in", "splits"), updates("x", "x"), writes("out", "h"), writes("expert", "expert"),
    writes("expert_weight", "expert_weight"), updates("arrived", "arrived"), writes("logits", "router_logits"),
    weight("weight", w("MLP_NORM")), weight("router", w("ROUTER")),
    weight("router_bias", w("ROUTER_BIAS")) }
  if model.attention_bias then norm[#norm + 1] = weight("bias", w("O_BIAS")) end
  local expert, pair, work = reads("expert", "expert"), reads("pair", "pair"), reads("work", "work")
  add("norm_router", "norm_router", table.unpack(norm))
  add("moe_sort", "moe_sort", expert, writes("pair", "pair"), writes("work", "work"))
  add("moe_gate_up", "moe_gate_up", reads("in", "h"), writes("out", "gated"), expert, pair, work,
    weight("weight", w("GATE_UP")), weight("bias", w("GATE_UP_BIAS")))
  add("moe_down", "moe_down", reads("in", "gated"), writes("out", "down"), expert, pair, work,
    weight("weight", w("DOWN")), weight("bias", w("DOWN_BIAS")))
  add("moe_combine", "moe_combine", reads("in", "down"), reads("expert_weight", "expert_weight"), updates("x", "x"),
    writes("out", "h"), weight("weight", next_norm))
end

local function symbol_of(layer)
  return function(name) return names.weight(layer, name) end
end

-- The query heads of one KV head are the columns of a matrix instruction.
local function refuse(model)
  local group = model.n_heads // model.n_kv_heads
  if group > 16 then
    error(string.format("precision mixed: want at most 16 query heads per KV head, got %d", group), 0)
  end
  if model.d_head % 8 ~= 0 then
    error(string.format("precision mixed: want a head_dim that is a multiple of 8, got %d", model.d_head), 0)
  end
end

local fused = {}

function fused.build(model, target, limits)
  refuse(model)
  local list, adjacent, layer, when = {}, {}, nil, nil
  local function add(op, role, ...)
    list[#list + 1] = { op = op, role = role, layer = layer and layer.index, when = when, arguments = { ... } }
  end
  add("embed", "embed", writes("x", "x"), writes("out", "h"), writes("arrived", "arrived"), weight("table", "W_EMBED"),
    weight("weight", symbol_of(model.layers[1])("ATTN_NORM")))
  for i, each in ipairs(model.layers) do
    local after, w = model.layers[i + 1], symbol_of(each)
    layer, adjacent[i] = each, { w("Q"), w("K"), w("V") }
    attention_ops(add, model, each, limits.parts, w)
    mlp_ops(add, model, w, after and symbol_of(after)("ATTN_NORM") or "W_NORM")
  end
  layer, when = nil, "greedy"
  add("unembed_best", "unembed_best", reads("in", "h"), writes("out", "best"), weight("weight", "W_UNEMBED"))
  add("pick_best", "pick_best", reads("in", "best"))
  when = "logits"
  add("unembed", "unembed", reads("in", "h"), writes("out", "logits"), weight("weight", "W_UNEMBED"))
  when = "sampled"
  add("vocab_sums", "vocab_sums", reads("in", "logits"), writes("out", "sums"))
  add("draw", "draw", reads("in", "logits"), reads("sums", "sums"))
  return { list = list, buffers = buffers(model, target, limits), adjacent = adjacent }
end

return fused
