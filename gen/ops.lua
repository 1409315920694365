-- model, target, limits -> the operations of one pass on named buffers and weights, layer by layer.
--
-- ops = { list = list of op, buffers = list of buffer,
--   adjacent = list of lists of weights that a kernel reads as one, or nil: there are none }
-- op = {
--   op = "matmul" (what it computes), role = "matmul_qkv" (what for),
--   layer = 0.. or nil (before and after the layers), arguments = list of argument,
--   when = nil (in every pass) | "greedy" | "logits" | "sampled" (in passes that need such outputs),
-- }
-- argument = { name = "in" (the launcher's parameter), type = "buffer" | "weight" | "kv" | "positions",
--   value = "h" | "W_07_Q" | "KV_07" | "KV_FULL_POSITIONS", access = "read" | "write" | "update" }
-- buffer = { name = "h", per = "row" | "output" | "logits" (an output whose whole logits a pass holds) | "pass",
--   count = elements; or count_of = "work_numbers": the target's function of the model and the rows of a pass;
--   least = elements that every step moves, or nil: all; dtype = "F32" | "I32" | "F16" }
-- ops.build serves the baseline and cpu. Fused targets have gen/ops_fused.lua. gen/arguments.lua makes arguments.

local arguments = require "gen.arguments"
local fused = require "gen.ops_fused"
local names = require "gen.names"

local ops = {}

local reads, writes, updates, weight = arguments.reads, arguments.writes, arguments.updates, arguments.weight

-- The buffers of a pass. A row is one token of one sequence; an output is a row whose result is needed; a pair is a
-- row and one of its experts.
local function buffers(model, target)
  local q, kv, top = model.n_heads * model.d_head, model.n_kv_heads * model.d_head, model.top_k
  local list = {
    { name = "x", per = "row", count = model.d_model, dtype = "F32" },
    { name = "h", per = "row", count = model.d_model, dtype = "F32" },
    { name = "qkv", per = "row", count = q + 2 * kv, dtype = "F32" },
    { name = "attn", per = "row", count = q, dtype = "F32" },
    { name = "router", per = "row", count = model.n_experts, dtype = "F32" },
    { name = "expert", per = "row", count = top, dtype = "I32" },
    { name = "expert_weight", per = "row", count = top, dtype = "F32" },
    { name = "gated", per = "row", count = top * model.d_ff, dtype = "F32" },
    { name = "down", per = "row", count = top * model.d_model, dtype = "F32" },
    { name = "last", per = "output", count = model.d_model, dtype = "F32" },
    { name = "logits", per = "output", count = model.vocab, dtype = "F32" },
  }
  if target.sorts_rows then
    list[#list + 1] = { name = "expert_start", per = "pass", count = model.n_experts + 1, dtype = "I32" }
    list[#list + 1] = { name = "pair", per = "row", count = top, dtype = "I32" }
  end
  return list
end

-- matrices: list of { parameter, symbol } -> the weight arguments of the matrices, and then of their biases.
local function linear_weights(matrices, biased)
  local list = {}
  for _, matrix in ipairs(matrices) do list[#list + 1] = weight(matrix[1], matrix[2]) end
  for _, matrix in ipairs(biased and matrices or {}) do
    list[#list + 1] = weight(#matrices == 1 and "bias" or matrix[1] .. "_bias", matrix[2] .. "_BIAS")
  end
  return table.unpack(list)
end

local function attention_ops(add, model, layer, w)
  local kv, positions = arguments.kv(layer), arguments.positions(layer)
  local biased = model.attention_bias
  add("rmsnorm", "norm_attn", reads("in", "x"), writes("out", "h"), weight("weight", w("ATTN_NORM")))
  add("matmul_qkv", "matmul_qkv", reads("in", "h"), writes("out", "qkv"),
    linear_weights({ { "q", w("Q") }, { "k", w("K") }, { "v", w("V") } }, biased))
  add("rope_append", "rope_append", updates("in", "qkv"), kv, positions)
  add("attention", "attn_" .. layer.attention, reads("in", "qkv"), writes("out", "attn"), kv,
    weight("sinks", w("SINKS")))
  add("matmul_residual", "matmul_o", reads("in", "attn"), updates("out", "x"),
    linear_weights({ { "weight", w("O") } }, biased))
end

local function expert_weights(symbol) return weight("values", symbol), weight("bias", symbol .. "_BIAS") end

-- If the target sorts the rows, each expert goes through its rows; otherwise each row goes through its experts.
local function expert_ops(add, target, w)
  local gate_up, down = w("GATE_UP"), w("DOWN")
  if not target.sorts_rows then
    local expert = reads("expert", "expert")
    add("moe_gate_up", "moe_gate_up", reads("in", "h"), writes("out", "gated"), expert,
      expert_weights(gate_up))
    add("moe_down", "moe_down", reads("in", "gated"), writes("out", "down"), expert, expert_weights(down))
    return
  end
  local start, pair = reads("start", "expert_start"), reads("pair", "pair")
  add("moe_sort", "moe_sort", reads("expert", "expert"), writes("start", "expert_start"), writes("pair", "pair"))
  add("moe_gate_up", "moe_gate_up", reads("in", "h"), writes("out", "gated"), start, pair,
    expert_weights(gate_up))
  add("moe_down", "moe_down", reads("in", "gated"), writes("out", "down"), start, pair, expert_weights(down))
end

local function mlp_ops(add, target, w)
  add("rmsnorm", "norm_mlp", reads("in", "x"), writes("out", "h"), weight("weight", w("MLP_NORM")))
  add("matmul", "matmul_router", reads("in", "h"), writes("out", "router"),
    linear_weights({ { "weight", w("ROUTER") } }, true))
  add("router_topk", "router_topk", reads("in", "router"), writes("expert", "expert"),
    writes("weight", "expert_weight"))
  expert_ops(add, target, w)
  add("moe_combine", "moe_combine", reads("in", "down"), reads("weight", "expert_weight"), updates("out", "x"))
end

function ops.build(model, target, limits)
  if target.fused then return fused.build(model, target, limits) end
  local list, layer = {}, nil
  local function add(op, role, ...)
    list[#list + 1] = { op = op, role = role, layer = layer and layer.index, arguments = { ... } }
  end
  add("embed", "embed", writes("out", "x"), weight("table", "W_EMBED"))
  for _, each in ipairs(model.layers) do
    layer = each
    local function w(name) return names.weight(each, name) end
    attention_ops(add, model, each, w)
    mlp_ops(add, target, w)
  end
  layer = nil
  add("rmsnorm", "norm_final", reads("in", "x"), writes("out", "last"), weight("weight", "W_NORM"))
  add("matmul", "matmul_unembed", reads("in", "last"), writes("out", "logits"), weight("weight", "W_UNEMBED"))
  return { list = list, buffers = buffers(model, target) }
end

local function check_adjacent(symbols, weights)
  for i = 2, #symbols do
    local first, second = weights.of[symbols[i - 1]], weights.of[symbols[i]]
    assert(first.offset + first.bytes == second.offset, first.symbol .. " and " .. second.symbol .. " lie apart")
  end
end

-- The gate: every buffer is written before it is read, every weight exists, every buffer and every weight is used, and
-- weights that are read as one lie side by side.
function ops.check(built, weights)
  local written, used = {}, {}
  for _, op in ipairs(built.list) do
    for _, argument in ipairs(op.arguments) do
      local value, where = argument.value, op.role .. ": " .. argument.value
      used[value] = true
      if argument.type == "weight" then assert(weights.of[value], where .. " is no tensor") end
      if argument.type == "buffer" then
        assert(argument.access == "write" or written[value], where .. " is read before it is written")
        written[value] = true
      end
    end
  end
  for _, buffer in ipairs(built.buffers) do assert(used[buffer.name], buffer.name .. " is never used") end
  for _, tensor in ipairs(weights.tensors) do assert(used[tensor.symbol], tensor.symbol .. " is never used") end
  for _, symbols in ipairs(built.adjacent or {}) do check_adjacent(symbols, weights) end
end

return ops
