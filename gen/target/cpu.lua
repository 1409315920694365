-- The cpu target: any machine with a C11 compiler and OpenMP. Weights are read in place from the
-- checkpoint's map, arithmetic and KV cache are FP32, and one pass carries a prompt chunk or a batch.
--
-- A target module has a record for each precision. A target = {
--   name, precision, extension (of a kernel file), summary (one line for summary.txt),
--   templates (folder), device (device_<it>.c is linked), builds_anywhere (without a GPU's compiler),
--   threads_run_steps (all threads of the host go through the schedule), sorts_rows (by expert),
--   stored = function(kind of gen/weights.lua, model) -> stored dtype, layout,
--   maps_checkpoint (tensors stored as they are need no copy), expands_experts (as rows of outputs, not in the
--   checkpoint's form), pairs_features (the rows of a RoPE pair side by side),
--   defaults = { slots, context, rows, chunk }, memory = bytes of the device or nil: not checked,
--   flops, bytes_per_second (what it can do at the most, or nil: not known),
--   kernel = { [op] = function(op, model, weights) -> choice },
-- }
-- choice = {
--   template, because (why this template), weight (abbreviation in the symbol) or nil,
--   name, fused (of the symbol), dims (of the symbol), parameters (of the template),
--   workspace (bytes a thread), flops (a row; of attention: a row and key),
-- }

local facts = { name = "cpu", device = "cpu", builds_anywhere = true }

return { mixed = require("gen.precision.cpu")(facts) }
