-- The fp32 baseline of any GPU: which template serves each op, with which constants. One thread an
-- output, k in order; rows are a dimension of every grid. The targets that use it add their facts.

local ctext = require "gen.ctext"
local tensor_of = require("gen.arguments").tensor_of

local kernel = {}

local WEIGHT_TYPE = { BF16 = "uint16_t", F32 = "float" }
local WEIGHT_NAME = { BF16 = "bf16", F32 = "f32" }

-- What the baseline keeps: MoE matrices as BF16, which holds MXFP4 and BF16 exactly; all else as F32.
-- The wider types of a checkpoint stay F32.
local EXPERT_DTYPES = { MXFP4 = "BF16", BF16 = "BF16", F16 = "F32", F32 = "F32" }

local function stored(kind, model)
  if kind ~= "experts" then return "F32", "CONTIGUOUS" end
  return EXPERT_DTYPES[model.experts == "mxfp4" and "MXFP4" or model.dtype], "CONTIGUOUS"
end

-- Every choice names its target in the include line.
local function choice(target, fields)
  fields.workspace = 0
  fields.parameters.target = target
  return fields
end

function kernel.embed(op, model, weights, target)
  local dtype = tensor_of(op, weights, "table").stored
  return choice(target, {
    template = "embed", because = "one thread an element", weight = WEIGHT_NAME[dtype], name = "embed",
    dims = { { "k", model.d_model } }, flops = 0,
    parameters = { d_model = model.d_model, weight_type = WEIGHT_TYPE[dtype] },
  })
end

function kernel.rmsnorm(op, model, _, target)
  local gather = op.role == "norm_final"
  return choice(target, {
    template = "rmsnorm", because = gather and "only rows whose logits are wanted" or "one block a row",
    name = "rmsnorm", fused = gather and "gather" or nil, dims = { { "k", model.d_model } },
    flops = 4 * model.d_model,
    parameters = { d_model = model.d_model, eps = ctext.f32(model.eps), gather = gather },
  })
end

-- parts: list of { argument name, label of its row count, offset in a row of outputs }
local function matmul(op, weights, target, parts, options)
  local dtype = tensor_of(op, weights, parts[1][1]).stored
  local described = {}
  for i, part in ipairs(parts) do
    local bias = #parts == 1 and "bias" or part[1] .. "_bias"
    described[i] = { weight = part[1], label = part[2], offset = part[3], bias = bias }
  end
  return choice(target, {
    template = "matmul", because = "one thread an output, k in order", weight = WEIGHT_NAME[dtype],
    name = "matmul", fused = options.residual and "residual" or nil,
    dims = { { "n", options.n }, { "k", options.k } }, flops = 2 * options.n * options.k,
    parameters = {
      parts = described, part_sizes = options.part_sizes or {}, n = options.n, k = options.k,
      rows = options.rows or "rows", residual = options.residual or false,
      bias = op.arguments[#op.arguments].name:find("bias") ~= nil, weight_type = WEIGHT_TYPE[dtype],
    },
  })
end

function kernel.matmul_qkv(op, model, weights, target)
  local q, kv = model.n_heads * model.d_head, model.n_kv_heads * model.d_head
  local parts = { { "q", "Q", "" }, { "k", "KV", " + Q" }, { "v", "KV", " + Q + KV" } }
  return matmul(op, weights, target, parts,
    { n = q + 2 * kv, k = model.d_model, part_sizes = { { "Q", q }, { "KV", kv } } })
end

function kernel.matmul(op, model, weights, target)
  local unembed = op.role == "matmul_unembed"
  return matmul(op, weights, target, { { "weight", "N", "" } },
    { n = unembed and model.vocab or model.n_experts, k = model.d_model, rows = unembed and "outputs" or "rows" })
end

function kernel.matmul_residual(op, model, weights, target)
  return matmul(op, weights, target, { { "weight", "N", "" } },
    { n = model.d_model, k = model.n_heads * model.d_head, residual = true })
end

local function head_dims(model)
  return { { "h", model.n_heads }, { "g", model.n_kv_heads }, { "d", model.d_head } }
end

function kernel.rope_append(_, model, _, target)
  return choice(target, {
    template = "rope_append", because = "one thread a pair of a head", name = "rope_append",
    dims = head_dims(model), flops = 3 * (model.n_heads + model.n_kv_heads) * model.d_head,
    parameters = { n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head },
  })
end

function kernel.attention(op, model, _, target)
  local sliding = op.role == "attn_sliding"
  local dims = head_dims(model)
  if sliding then dims[4] = { "w", model.window } end
  return choice(target, {
    template = "attention", because = sliding and "keys of the window only" or "every key up to the row's own",
    name = op.role, dims = dims, flops = 4 * model.n_heads * model.d_head,
    parameters = {
      n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head,
      window = sliding and model.window, positions = sliding and "KV_SLIDING_POSITIONS" or "KV_FULL_POSITIONS",
      scale = ctext.f32(model.d_head ^ -0.5),
    },
  })
end

function kernel.router_topk(_, model, _, target)
  return choice(target, {
    template = "router_topk", because = "one thread a row", name = "router_topk",
    dims = { { "e", model.n_experts }, { "top", model.top_k } }, flops = model.n_experts * model.n_experts,
    parameters = { n_experts = model.n_experts, top_k = model.top_k },
  })
end

local function moe_matmul(op, model, weights, target, n, k, parameters)
  local dtype = tensor_of(op, weights, "values").stored
  parameters.top_k, parameters.n, parameters.k = model.top_k, n, k
  parameters.weight_type = WEIGHT_TYPE[dtype]
  return choice(target, {
    template = op.role, because = "one thread an output, k in order", weight = WEIGHT_NAME[dtype], name = op.role,
    fused = op.role == "moe_gate_up" and "swiglu" or nil,
    dims = { { "n", n }, { "k", k }, { "e", model.n_experts }, { "top", model.top_k } },
    flops = 2 * n * k * model.top_k, parameters = parameters,
  })
end

function kernel.moe_gate_up(op, model, weights, target)
  return moe_matmul(op, model, weights, target, 2 * model.d_ff, model.d_model,
    { limit = ctext.f32(model.limit), alpha = ctext.f32(model.alpha) })
end

function kernel.moe_down(op, model, weights, target)
  return moe_matmul(op, model, weights, target, model.d_model, model.d_ff, {})
end

function kernel.moe_combine(_, model, _, target)
  return choice(target, {
    template = "moe_combine", because = "one thread an element", name = "moe_combine",
    dims = { { "n", model.d_model }, { "top", model.top_k } }, flops = 2 * model.d_model * model.top_k,
    parameters = { d_model = model.d_model, top_k = model.top_k },
  })
end

-- facts of a GPU -> the target that runs the baseline on it.
return function(facts)
  local target = {
    extension = ".hip", templates = "templates/fp32", device = facts.name, precision = "fp32",
    summary = "MoE matrices BF16, other weights, activations and KV cache FP32",
    stored = stored, expands_experts = true,
    staging_bytes = 2 * (16 << 20), -- DEVICE_STAGING_BUFFERS of DEVICE_STAGING_BYTES (runtime/device.h)
    defaults = { slots = 32, context = 4096, rows = 128, chunk = 128 }, kernel = {},
  }
  for key, value in pairs(facts) do target[key] = value end
  for op, choose in pairs(kernel) do
    target.kernel[op] = function(each, model, weights) return choose(each, model, weights, facts.name) end
  end
  return target
end
