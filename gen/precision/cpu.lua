-- Precision `mixed` on the cpu target: weights as in the checkpoint, arithmetic FP32. The threads of the host divide
-- the rows or the features of each op among themselves, and expand weights to float one tile at a time.

local BYTES = require("gen.sizes").BYTES
local unfused = require "gen.precision.unfused"

-- Features per tile of expanded weights, by the order of the tile in memory. runtime/target/cpu/mixed.h has the same
-- constants; the templates assert that they are equal.
local TILE <const> = { feature_major = 4, column_major = 32 }
local TILE_NAME <const> = { feature_major = "FEATURE_MAJOR_TILE", column_major = "COLUMN_MAJOR_TILE" }
local WEIGHT_BYTES <const> = { bf16 = BYTES.BF16, f32 = BYTES.F32, mf4 = false } -- false: no whole bytes

local kernel = {}

local function complete(choice, because, workspace)
  choice.because, choice.workspace = choice.because or because, workspace or 0
  return choice
end

local function add_weight_type(choice)
  choice.parameters.weight_type, choice.parameters.weight_bytes = choice.weight, WEIGHT_BYTES[choice.weight]
end

function kernel.embed(op, model, weights)
  local choice = unfused.embed(op, model, weights)
  add_weight_type(choice)
  choice.parameters.token_bytes = model.d_model * choice.parameters.weight_bytes
  return complete(choice, "one row of the table per token")
end

-- Completes a product of matrices, for which each thread has one tile of expanded weights as its workspace.
local function complete_product(choice, order, because)
  local parameters = choice.parameters
  add_weight_type(choice)
  parameters.order, parameters.tile, parameters.tile_name = order, TILE[order], TILE_NAME[order]
  parameters.feature_bytes = parameters.weight_bytes and parameters.k * parameters.weight_bytes
  return complete(choice, because, TILE[order] * parameters.k * BYTES.F32)
end

local function matmul(op, model, weights)
  return complete_product(unfused[op.op](op, model, weights), "feature_major", op.op == "matmul_qkv"
    and "three matrices where they lie, one vector of results" or "each tile of weights is expanded once for all rows")
end
kernel.matmul, kernel.matmul_qkv, kernel.matmul_residual = matmul, matmul, matmul

-- The weights of an expert are feature-major in MXFP4 and column-major in other dtypes, as in the checkpoint.
local function moe_matmul(op, model, weights)
  local choice, packed = unfused[op.op](op, model, weights), model.experts == "mxfp4"
  local parameters = choice.parameters
  choice.template = "moe_matmul"
  parameters.n_experts, parameters.packed, parameters.gated = model.n_experts, packed, op.op == "moe_gate_up"
  parameters.code_bytes, parameters.scale_bytes = parameters.k // 2, parameters.k // 32
  if packed then return complete_product(choice, "feature_major", "rows of an expert share each expanded tile") end
  return complete_product(choice, "column_major", "weights lie column by column of K: each adds to all sums of a tile")
end
kernel.moe_gate_up, kernel.moe_down = moe_matmul, moe_matmul

local function plain(because)
  return function(op, model, weights) return complete(unfused[op.op](op, model, weights), because) end
end
kernel.rmsnorm, kernel.rope_append, kernel.router_topk = plain "one thread per row", plain "one thread per row",
  plain "one thread per row"
kernel.moe_combine, kernel.attention = plain "one thread per row", plain()
kernel.moe_sort = plain "one thread: it moves a few integers per row"

local MATRIX_DTYPES <const> = { BF16 = "BF16", F16 = "F32", F32 = "F32" }

-- facts of the machine -> the target that runs it.
return function(facts)
  local target = {
    precision = "mixed", extension = ".c", templates = "templates/cpu",
    summary = "weights as in the checkpoint, arithmetic and KV cache FP32",
    stored = function(_, model) return MATRIX_DTYPES[model.dtype], "CONTIGUOUS" end, maps_checkpoint = true,
    threads_run_steps = true, sorts_rows = true, staging_bytes = 0,
    defaults = { slots = 16, context = 4096, rows = 128, chunk = 128 },
    kernel = kernel,
  }
  for key, value in pairs(facts) do target[key] = value end
  return target
end
