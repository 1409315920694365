-- The cpu target: any machine with a C11 compiler and OpenMP. Weights are read where they lie in the mapped checkpoint,
-- arithmetic and KV cache are FP32, and one pass has rows of a prompt or of many sequences.

local facts = { name = "cpu", device = "cpu", builds_anywhere = true }

return { mixed = require("gen.precision.cpu")(facts) }
