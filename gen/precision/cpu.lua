-- Precision `mixed` on the cpu target: weights have the numbers of the checkpoint, arithmetic is FP32. Matrices lie in
-- panels (runtime/formats/panels.h). Each thread of the host has a range of the panels of a matrix; other ops divide
-- the rows among the threads.

local BYTES = require("gen.sizes").BYTES
local tensor_of = require("gen.arguments").tensor_of
local unfused = require "gen.precision.unfused"

-- The most heads with the same keys that a thread takes at a time in attention, and whose sums it has in registers.
local MOST_HEADS <const>, FEW_HEADS <const> = 8, 4

local kernel = {}

local function complete(choice, because)
  choice.because = choice.because or because
  return choice
end

function kernel.embed(op, model, weights)
  local choice = unfused.embed(op, model, weights)
  local bytes = BYTES[tensor_of(op, weights, "table").stored]
  choice.parameters.weight_type, choice.parameters.weight_bytes = choice.weight, bytes
  choice.parameters.token_bytes = model.d_model * bytes
  return complete(choice, "one row of the table per token")
end

-- Completes a product of a tensor in panels.
local function complete_product(choice, tensor, because)
  local parameters, stored = choice.parameters, tensor.stored
  parameters.stored, parameters.weights = stored, "WEIGHTS_" .. stored
  return complete(choice, because)
end

local function matmul(op, model, weights)
  local router, qkv = op.role == "matmul_router", op.op == "matmul_qkv"
  local choice = unfused[op.op](op, model, weights)
  if router then choice.template = "router" end
  return complete_product(choice, tensor_of(op, weights, qkv and "q" or "weight"),
    router and "each thread has some rows" or qkv and "each thread claims panels of each matrix"
    or "each thread claims panels")
end
kernel.matmul, kernel.matmul_qkv, kernel.matmul_residual = matmul, matmul, matmul

local function moe_matmul(op, model, weights)
  local choice = unfused[op.op](op, model, weights)
  choice.template = "moe_matmul"
  choice.parameters.n_experts, choice.parameters.gated = model.n_experts, op.op == "moe_gate_up"
  return complete_product(choice, tensor_of(op, weights, "values"), "each thread claims panels of each expert")
end
kernel.moe_gate_up, kernel.moe_down = moe_matmul, moe_matmul

-- The largest divisor of n that is at most `most`.
local function divisor(n, most)
  while n % most ~= 0 do most = most - 1 end
  return most
end

function kernel.attention(op, model, weights)
  local choice = unfused.attention(op, model, weights)
  local heads = divisor(choice.parameters.heads_per_kv_head, MOST_HEADS)
  choice.parameters.heads, choice.parameters.few_heads = heads, divisor(heads, FEW_HEADS)
  return complete(choice)
end

function kernel.rmsnorm(op, model, weights)
  local choice = unfused.rmsnorm(op, model, weights)
  choice.parameters.waits = op.role ~= "norm_mlp" -- the router is joined to it
  return complete(choice, "each thread has some rows")
end

local function plain(because)
  return function(op, model, weights) return complete(unfused[op.op](op, model, weights), because) end
end
kernel.rope_append, kernel.router_topk = plain "each thread has some rows", plain "each thread has some rows"
kernel.moe_combine = plain "each thread has some rows"
kernel.moe_sort = plain "one thread: it moves a few integers per row"

local DTYPES <const> = { BF16 = "BF16", F16 = "F32", F32 = "F32" }

-- kind of gen/weights.lua, model -> stored dtype, layout. Tables are not in panels, because single rows are read.
local function stored(kind, model)
  local dtype = kind == "experts" and model.experts == "mxfp4" and "MXFP4" or DTYPES[model.dtype]
  return dtype, kind == "table" and "CONTIGUOUS" or "PANELS"
end

-- These roles need from the step before only what the same thread has computed, since both divide the rows among the
-- threads in the same way. The templates have no barrier between them.
local JOINS <const> = { norm_attn = true, matmul_router = true, router_topk = true }

-- facts of the machine -> the target that runs it.
return function(facts)
  local target = {
    precision = "mixed", extension = ".c", templates = "templates/cpu",
    summary = "weights as in the checkpoint, arithmetic and KV cache FP32",
    stored = stored, maps_checkpoint = true,
    threads_run_steps = true, joins = JOINS, sorts_rows = true, staging_bytes = 0, kv_block = 16,
    defaults = { slots = 16, context = 4096, rows = 128, chunk = 128 },
    kernel = kernel,
  }
  for key, value in pairs(facts) do target[key] = value end
  return target
end
