-- Precision `mixed` on the cpu target, which has templates of its own: weights as in the checkpoint, arithmetic
-- FP32. Which template serves each op, with which constants.

local BYTES = require("gen.sizes").BYTES
local ctext = require "gen.ctext"
local tensor_of = require("gen.arguments").tensor_of

local ROW_TILE, COLUMN_TILE = 4, 32 -- as in runtime/target/cpu.h
local WEIGHT_TYPE = { BF16 = "bf16", F32 = "f32", U8 = "mf4" }

local kernel = {}

function kernel.embed(op, model, weights)
  local stored = tensor_of(op, weights, "table").stored
  return {
    template = "embed", because = "one row of the table a token", weight = WEIGHT_TYPE[stored],
    name = "embed", dims = { { "k", model.d_model } }, workspace = 0, flops = 0,
    parameters = { d_model = model.d_model, weight_type = WEIGHT_TYPE[stored], weight_bytes = BYTES[stored] },
  }
end

function kernel.rmsnorm(op, model)
  local gather = op.role == "norm_final"
  return {
    template = "rmsnorm", because = gather and "only rows whose logits are wanted" or "one row a thread",
    name = "rmsnorm", fused = gather and "gather" or nil, dims = { { "k", model.d_model } },
    workspace = 0, flops = 4 * model.d_model,
    parameters = { d_model = model.d_model, eps = ctext.f32(model.eps), gather = gather },
  }
end

-- parts: list of { argument name, label of its row count, rows }
local function matmul(op, weights, parts, options)
  local first = tensor_of(op, weights, parts[1][1])
  local biased = op.arguments[#op.arguments].name:find("bias") ~= nil
  local described, n = {}, 0
  for i, part in ipairs(parts) do
    local bias = #parts == 1 and "bias" or part[1] .. "_bias"
    local offset = ""
    for j = 1, i - 1 do offset = offset .. " + " .. parts[j][2] end
    described[i] = { label = part[2], weight = part[1], bias = bias, offset = offset }
    n = n + part[3]
  end
  local k = first.shape[2]
  return {
    template = "matmul", because = options.because or "a tile of weights expanded once for all rows",
    weight = WEIGHT_TYPE[first.stored], name = "matmul", fused = options.residual and "residual" or nil,
    dims = { { "n", n }, { "k", k } }, workspace = ROW_TILE * k * 4, flops = 2 * n * k,
    parameters = {
      parts = described, n = n, k = k, part_sizes = options.part_sizes or {},
      rows = options.rows or "rows", residual = options.residual or false, bias = biased,
      weight_type = WEIGHT_TYPE[first.stored], weight_bytes = BYTES[first.stored],
    },
  }
end

function kernel.matmul_qkv(op, model, weights)
  local q, kv = model.n_heads * model.d_head, model.n_kv_heads * model.d_head
  local parts = { { "q", "Q", q }, { "k", "KV", kv }, { "v", "KV", kv } }
  return matmul(op, weights, parts, { part_sizes = { { "Q", q }, { "KV", kv } },
    because = "three matrices in place, one row of outputs" })
end

function kernel.matmul(op, _, weights)
  local n = tensor_of(op, weights, "weight").shape[1]
  local rows = op.role == "matmul_unembed" and "outputs" or "rows"
  return matmul(op, weights, { { "weight", "N", n } }, { rows = rows })
end

function kernel.matmul_residual(op, model, weights)
  return matmul(op, weights, { { "weight", "N", model.d_model } }, { residual = true })
end

function kernel.rope_append(_, model)
  return {
    template = "rope_append", because = "one row a thread", name = "rope_append",
    dims = { { "h", model.n_heads }, { "g", model.n_kv_heads }, { "d", model.d_head } },
    workspace = 0, flops = 3 * (model.n_heads + model.n_kv_heads) * model.d_head,
    parameters = { n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head },
  }
end

function kernel.attention(op, model)
  local sliding = op.role == "attn_sliding"
  local dims = { { "h", model.n_heads }, { "g", model.n_kv_heads }, { "d", model.d_head } }
  if sliding then dims[4] = { "w", model.window } end
  return {
    template = "attention", because = sliding and "keys of the window only" or "every key up to the row's own",
    name = op.role, dims = dims, workspace = 0, flops = 4 * model.n_heads * model.d_head,
    parameters = {
      n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head,
      window = sliding and model.window, positions = sliding and "KV_SLIDING_POSITIONS" or "KV_FULL_POSITIONS",
      scale = ctext.f32(model.d_head ^ -0.5),
    },
  }
end

local function expert_dims(model) return { { "e", model.n_experts }, { "top", model.top_k } } end

function kernel.router_topk(_, model)
  return {
    template = "router_topk", because = "one row a thread", name = "router_topk", dims = expert_dims(model),
    workspace = 0, flops = model.n_experts * model.top_k,
    parameters = { n_experts = model.n_experts, top_k = model.top_k },
  }
end

function kernel.moe_sort(_, model)
  return {
    template = "moe_sort", because = "one thread: a few integers a row", name = "moe_sort",
    dims = expert_dims(model), workspace = 0, flops = 0,
    parameters = { n_experts = model.n_experts, top_k = model.top_k },
  }
end

-- n outputs of k inputs for each of a row's experts
local function moe_matmul(op, model, weights, n, k, gated)
  local packed = model.experts == "mxfp4"
  local stored = tensor_of(op, weights, packed and "codes" or "values").stored
  return {
    template = "moe_matmul", because = packed and "rows of an expert tiling each expanded tile"
      or "weights lie input by output: sums run down the columns",
    weight = WEIGHT_TYPE[stored], name = op.role, fused = gated and "swiglu" or nil,
    dims = { { "n", n }, { "k", k }, { "e", model.n_experts }, { "top", model.top_k } },
    workspace = (packed and ROW_TILE or COLUMN_TILE) * k * 4, flops = 2 * n * k * model.top_k,
    parameters = {
      n_experts = model.n_experts, top_k = model.top_k, n = n, k = k, gated = gated, packed = packed,
      product = packed and "rows" or "columns", weight_type = WEIGHT_TYPE[stored],
      weight_bytes = not packed and BYTES[stored],
      limit = gated and ctext.f32(model.limit), alpha = gated and ctext.f32(model.alpha),
    },
  }
end

function kernel.moe_gate_up(op, model, weights)
  return moe_matmul(op, model, weights, 2 * model.d_ff, model.d_model, true)
end

function kernel.moe_down(op, model, weights)
  return moe_matmul(op, model, weights, model.d_model, model.d_ff, false)
end

function kernel.moe_combine(_, model)
  return {
    template = "moe_combine", because = "one row a thread", name = "moe_combine",
    dims = { { "n", model.d_model }, { "top", model.top_k } }, workspace = 0, flops = 2 * model.d_model * model.top_k,
    parameters = { d_model = model.d_model, top_k = model.top_k },
  }
end

local MATRIX_DTYPES = { BF16 = "BF16", F16 = "F32", F32 = "F32" }

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
