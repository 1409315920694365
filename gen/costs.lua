-- ops x kernels x plan -> the least that a step of each role moves and computes: costs.inc, for `getp --profile`.
--
-- costs = list, in the order of the kernels, of {
--   role,
--   per: what bytes and flops are counted per: "ROWS" | "OUTPUTS" | "EXPERTS" (per row; a step uses only the weights
--     of the experts that its rows select) | "FULL" | "SLIDING" (attention: bytes per row, flops per row and key that
--     it sees),
--   weight_bytes (per step), bytes (of activations and of the KV cache), flops, key_bytes (of attention: a key and its
--     value, which are read once per group of rows),
-- }

local BYTES = require("gen.sizes").BYTES
local tables = require "gen.tables"

local costs = {}

local ATTENTION = { attention = true, attention_parts = true } -- these read the keys
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

-- The bytes of the table of embeddings in a step, and those that a row reads.
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
  local table, per_row = table_bytes(op, model, weights)
  return {
    role = op.role, per = counted_per(op, model, buffers), weight_bytes = kernel.weight_bytes - table,
    bytes = activation_bytes(op, buffers, key_bytes) + per_row, flops = kernel.flops,
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
