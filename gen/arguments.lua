-- The arguments of an op, as gen/ops.lua describes them: how they are made and found.

local names = require "gen.names"

local arguments = {}

local function buffer(name, value, access) return { name = name, type = "buffer", value = value, access = access } end

-- name: the launcher's parameter. value: a buffer, or the symbol of a weight.
function arguments.reads(name, value) return buffer(name, value, "read") end
function arguments.writes(name, value) return buffer(name, value, "write") end
function arguments.updates(name, value) return buffer(name, value, "update") end
function arguments.weight(name, symbol) return { name = name, type = "weight", value = symbol } end

-- The KV cache of a layer, and the positions it holds.
function arguments.kv(layer) return { name = "kv", type = "kv", value = names.kv(layer) } end
function arguments.positions(layer)
  return { name = "positions", type = "positions", value = names.kv_positions(layer) }
end

-- The tensor that an op gets as its argument `name`, or nil.
function arguments.tensor_of(op, weights, name)
  for _, argument in ipairs(op.arguments) do
    if argument.name == name then return weights.of[argument.value] end
  end
  return nil
end

return arguments
