-- The fp32 baseline of any GPU: one thread per element of a result, every sum in order. It is slow and plain, so that
-- it can judge precision `mixed`. gen/target/ adds the facts of each GPU.

local unfused = require "gen.precision.unfused"

-- MoE matrices are stored as BF16, which holds MXFP4 and BF16 exactly, and every other tensor as F32. MoE matrices of
-- a wider dtype are stored as F32.
local EXPERT_DTYPES <const> = { MXFP4 = "BF16", BF16 = "BF16", F16 = "F32", F32 = "F32" }
local WEIGHT_TYPE <const> = { bf16 = "uint16_t", f32 = "float" } -- in C

local function stored(kind, model)
  if kind ~= "experts" then return "F32", "CONTIGUOUS" end
  return EXPERT_DTYPES[model.experts == "mxfp4" and "MXFP4" or model.dtype], "CONTIGUOUS"
end

-- Why each op has its kernel, where gen/precision/unfused.lua does not say it.
local BECAUSE <const> = {
  embed = "one thread per element", rmsnorm = "one block per row",
  rope_append = "one thread per two elements of a head",
  matmul_qkv = "one thread per feature of a row, k in order", matmul = "one thread per feature of a row, k in order",
  matmul_residual = "one thread per feature of a row, k in order", router_topk = "one thread per row",
  moe_gate_up = "one thread per feature of a pair, k in order",
  moe_down = "one thread per feature of a pair, k in order", moe_combine = "one thread per element",
}

local function choose(op, model, weights, target)
  local choice = unfused[op.op](op, model, weights)
  choice.because = choice.because or BECAUSE[op.op]
  choice.parameters.target = target -- for the include line
  choice.parameters.weight_type = WEIGHT_TYPE[choice.weight]
  -- Every expert is compared with every other.
  if op.op == "router_topk" then choice.flops = model.n_experts * model.n_experts end
  return choice
end

-- facts of a GPU -> the target that runs the baseline on it.
return function(facts)
  local target = {
    extension = ".hip", templates = "templates/fp32", device = facts.name, precision = "fp32",
    summary = "MoE matrices BF16, other weights, activations and KV cache FP32",
    stored = stored,
    staging_bytes = 2 * (16 << 20), -- DEVICE_STAGING_BUFFERS of DEVICE_STAGING_BYTES (runtime/device/device.h)
    defaults = { slots = 32, context = 4096, rows = 128, chunk = 128 }, kernel = {},
  }
  for key, value in pairs(facts) do target[key] = value end
  for op in pairs(unfused) do
    target.kernel[op] = function(each, model, weights) return choose(each, model, weights, facts.name) end
  end
  return target
end
