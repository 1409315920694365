-- The cpu target: any machine with a C11 compiler and OpenMP. Weights are read in place from the checkpoint's map,
-- arithmetic and KV cache are FP32, and one pass carries a prompt chunk or a batch.

local facts = { name = "cpu", device = "cpu", builds_anywhere = true }

return { mixed = require("gen.precision.cpu")(facts) }
