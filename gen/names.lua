-- The C names of what a schedule refers to.

local names = {}

-- A buffer of the arena, in arena.h.
function names.buffer(buffer) return "BUF_" .. buffer:upper() end

-- A weight of a layer, in weights.inc: names.weight(layer, "Q") is "W_07_Q".
function names.weight(layer, weight) return string.format("W_%02d_%s", layer.index, weight) end

-- The KV cache of a layer, in kv.h.
function names.kv(layer) return string.format("KV_%02d", layer.index) end

-- The positions that the KV cache of a layer holds, in kv.h.
function names.kv_positions(layer) return string.format("KV_%s_POSITIONS", layer.attention:upper()) end

return names
