-- The cpu target: any machine with a C11 compiler and OpenMP. Weights are read where they lie in the mapped checkpoint,
-- arithmetic and KV cache are FP32, and one pass has rows of a prompt or of many sequences.
--
-- A target module returns one record per precision. A target = {
--   name, precision, extension (of a kernel file), summary (one line for summary.txt),
--   templates (a folder), device ("cpu", or the GPU for which runtime/device/hip.c is compiled), builds_anywhere
--   (without a GPU's compiler), threads_run_steps (all threads of the host run the schedule), sorts_rows (by expert),
--   stored = function(kind of gen/weights.lua, model) -> stored dtype, layout,
--   maps_checkpoint (tensors that are stored as in the checkpoint are not copied), expands_experts (stored (experts,
--   features, K), whatever the checkpoint has), pairs_features (stores the features of a RoPE pair side by side),
--   defaults = { slots, context, rows, chunk }, memory = bytes of the device, or nil if it is not checked,
--   flops, bytes_per_second (peak rates, or nil if they are not known),
--   kernel = { [op] = function(op, model, weights) -> choice },
-- }
-- choice = {
--   template, because (why this template), weight (its abbreviation in the symbol) or nil,
--   name, fused (of the symbol), dims (of the symbol), parameters (of the template),
--   workspace (bytes per thread), flops (per row; of attention: per row and key),
-- }

local facts = { name = "cpu", device = "cpu", builds_anywhere = true }

return { mixed = require("gen.precision.cpu")(facts) }
