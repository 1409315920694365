-- ops x kernels x plan -> what a step of each role at least moves and computes: costs.inc, for `getp --profile`.
--
-- costs = list, in the order of the kernels, of {
--   role, per = "ROWS" | "OUTPUTS" (of these there are as many as bytes and flops are counted for) | "EXPERTS" (rows,
--     and a step uses only the weights of the experts that they hit) | "FULL" | "SLIDING" (attention: flops are those
--     of a row and a key that it sees),
--   weight_bytes (that a step uses), bytes (of activations and of the KV cache, a row or output), flops, key_bytes (of
--     attention: a key and its value, read once for a group of rows),
-- }

local BYTES = require("gen.sizes").BYTES
local tables = require "gen.tables"

local costs = {}

local ATTENTION = { attention = true, attention_parts = true } -- what reads the keys
local EXPERTS = { moe_gate_up = true, moe_down = true }

local function counted_per(op, model, buffers)
  if ATTENTION[op.op] then return model.layers[op.layer + 1].attention:upper() end
  if EXPERTS[op.role] then return "EXPERTS" end
  for _, argument in ipairs(op.arguments) do
    local per = argument.type == "buffer" and buffers[argument.value].per
    if per == "output" or per == "logits" then return "OUTPUTS" end
  end
  return "ROWS"
end

-- Of the embeddings a row uses one row of the table.
local function table_bytes(op, model, weights)
  for _, argument in ipairs(op.arguments) do
    if op.op == "embed" and argument.name == "table" then
      local bytes = weights.of[argument.value].bytes
      return bytes, bytes // model.vocab
    end
  end
  return 0, 0
end

local function activation_bytes(op, buffers, key_bytes)
  local bytes = 0
  for _, argument in ipairs(op.arguments) do
    local buffer = argument.type == "buffer" and buffers[argument.value]
    if buffer and buffer.per ~= "pass" then
      bytes = bytes + (argument.access == "update" and 2 or 1) * (buffer.least or buffer.count) * BYTES[buffer.dtype]
    end
    if argument.type == "kv" and not ATTENTION[op.op] then bytes = bytes + key_bytes end
  end
  return bytes
end

local function describe(op, kernel, model, weights, buffers, key_bytes)
  local whole, row = table_bytes(op, model, weights)
  return {
    role = op.role, per = counted_per(op, model, buffers), weight_bytes = kernel.weight_bytes - whole,
    bytes = activation_bytes(op, buffers, key_bytes) + row, flops = kernel.flops,
    key_bytes = ATTENTION[op.op] and key_bytes or 0,
  }
end

function costs.list(built, kernels, model, weights, plan)
  local list, seen, buffers = {}, {}, tables.by_name(built.buffers)
  for _, op in ipairs(built.list) do
    if not seen[op.role] then
      seen[op.role] = true
      list[#list + 1] = describe(op, kernels.of[op.role], model, weights, buffers, plan.kv.key_bytes)
    end
  end
  return list
end

return costs
