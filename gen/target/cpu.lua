-- The cpu target: any machine with a C11 compiler and OpenMP. Matrices are packed into panels, the embedding is read
-- where it lies in the mapped checkpoint, arithmetic and KV cache are FP32.

local facts = { name = "cpu", device = "cpu", builds_anywhere = true }

return { mixed = require("gen.precision.cpu")(facts) }
