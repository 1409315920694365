-- The kernels of the unfused ops (gen/ops.lua), as far as the fp32 baseline and the cpu target agree on them: symbols,
-- dimensions, flops and the constants of the templates. Each function returns a choice (gen/target.lua) to which
-- fp32.lua or cpu.lua adds what its templates need and, where it is missing, why it was chosen.

local ctext = require "gen.ctext"
local tensor_of = require("gen.arguments").tensor_of

local unfused = {}

-- The abbreviations of stored dtypes in symbols.
local ABBREVIATION <const> = { BF16 = "bf16", F32 = "f32", MXFP4 = "mf4" }

function unfused.embed(op, model, weights)
  return {
    template = "embed", name = "embed", weight = ABBREVIATION[tensor_of(op, weights, "table").stored],
    dims = { { "k", model.d_model } }, flops = 0, parameters = { d_model = model.d_model },
  }
end

function unfused.rmsnorm(op, model)
  local gather = op.role == "norm_final"
  return {
    template = "rmsnorm", name = "rmsnorm", fused = gather and "gather" or nil, dims = { { "k", model.d_model } },
    because = gather and "only the rows whose logits are needed" or nil,
    flops = 4 * model.d_model, parameters = { d_model = model.d_model, eps = ctext.f32(model.eps), gather = gather },
  }
end

-- matrices = list of { the argument with its weights, the C constant of its features }; their results lie side by
-- side. sizes = list of { C constant, its value } or nil: the constant is N.
local function matmul(op, weights, matrices, sizes)
  local list, offset, n = {}, "", 0
  for i, matrix in ipairs(matrices) do
    local weight, features = table.unpack(matrix)
    list[i] = { weight = weight, bias = #matrices == 1 and "bias" or weight .. "_bias", features = features,
      offset = offset }
    offset = offset .. " + " .. features
    n = n + tensor_of(op, weights, weight).shape[1]
  end
  local first, residual = tensor_of(op, weights, matrices[1][1]), op.op == "matmul_residual"
  local k = first.shape[2]
  return {
    template = "matmul", name = "matmul", weight = ABBREVIATION[first.stored], fused = residual and "residual" or nil,
    dims = { { "n", n }, { "k", k } }, flops = 2 * n * k,
    parameters = {
      matrices = list, sizes = sizes or {}, n = n, k = k, assign = residual and "+=" or "=",
      bias = op.arguments[#op.arguments].name:find("bias") ~= nil,
      count = op.role == "matmul_unembed" and "outputs" or "rows", may_be_empty = op.role == "matmul_unembed",
    },
  }
end

function unfused.matmul(op, _, weights) return matmul(op, weights, { { "weight", "N" } }) end
unfused.matmul_residual = unfused.matmul

function unfused.matmul_qkv(op, model, weights)
  local sizes = { { "Q", model.n_heads * model.d_head }, { "KV", model.n_kv_heads * model.d_head } }
  return matmul(op, weights, { { "q", "Q" }, { "k", "KV" }, { "v", "KV" } }, sizes)
end

local function head_dims(model)
  return { { "h", model.n_heads }, { "g", model.n_kv_heads }, { "d", model.d_head } }
end

function unfused.rope_append(_, model)
  local heads = model.n_heads + 2 * model.n_kv_heads
  return {
    template = "rope_append", name = "rope_append", dims = head_dims(model),
    flops = 3 * (model.n_heads + model.n_kv_heads) * model.d_head,
    parameters = {
      n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, n_qkv_heads = heads, d_head = model.d_head,
      half = model.d_head // 2, q = model.n_heads * model.d_head, kv = model.n_kv_heads * model.d_head,
      qkv = heads * model.d_head,
    },
  }
end

function unfused.attention(op, model)
  local sliding, dims = op.role == "attn_sliding", head_dims(model)
  if sliding then dims[4] = { "w", model.window } end
  return {
    template = "attention", name = op.role, dims = dims, flops = 4 * model.n_heads * model.d_head,
    because = sliding and "keys of the window only" or "every key up to the row's own",
    parameters = {
      n_heads = model.n_heads, d_head = model.d_head, heads_per_kv_head = model.n_heads // model.n_kv_heads,
      qkv = (model.n_heads + 2 * model.n_kv_heads) * model.d_head, window = sliding and model.window,
      positions = sliding and "KV_SLIDING_POSITIONS" or "KV_FULL_POSITIONS", scale = ctext.f32(model.d_head ^ -0.5),
    },
  }
end

function unfused.router_topk(op, model)
  return {
    template = op.op, name = op.op, dims = { { "e", model.n_experts }, { "top", model.top_k } },
    flops = model.n_experts * model.top_k, parameters = { n_experts = model.n_experts, top_k = model.top_k },
  }
end

function unfused.moe_sort(op, model)
  local choice = unfused.router_topk(op, model)
  choice.flops = 0
  return choice
end

local function moe_matmul(op, model, weights, n, k)
  return {
    template = op.op, name = op.op, weight = ABBREVIATION[tensor_of(op, weights, "values").stored],
    dims = { { "n", n }, { "k", k }, { "e", model.n_experts }, { "top", model.top_k } },
    flops = 2 * n * k * model.top_k, parameters = { top_k = model.top_k, n = n, k = k },
  }
end

function unfused.moe_gate_up(op, model, weights)
  local choice = moe_matmul(op, model, weights, 2 * model.d_ff, model.d_model)
  choice.fused = "swiglu"
  choice.parameters.d_ff = model.d_ff
  choice.parameters.limit, choice.parameters.alpha = ctext.f32(model.limit), ctext.f32(model.alpha)
  return choice
end

function unfused.moe_down(op, model, weights) return moe_matmul(op, model, weights, model.d_model, model.d_ff) end

function unfused.moe_combine(_, model)
  return {
    template = "moe_combine", name = "moe_combine", dims = { { "n", model.d_model }, { "top", model.top_k } },
    flops = 2 * model.d_model * model.top_k, parameters = { d_model = model.d_model, top_k = model.top_k },
  }
end

return unfused
