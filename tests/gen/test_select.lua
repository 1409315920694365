-- gen/select.lua with gen/target/cpu.lua: the kernels of gpt-oss and of the model's variants, their cost
-- against published counts, and the gate.
-- luacheck: globals TestKernels TestVariants TestCost TestCheck
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
local lfs = require "lfs"
local lu = require "luaunit"
local select = require "gen.select"

-- { role = symbol without its front "f32_" and end "__cpu" }
local function symbols(kernels)
  local out = {}
  for _, kernel in ipairs(kernels.list) do out[kernel.role] = kernel.symbol:match("^f32_(.*)__cpu$") end
  return out
end

TestKernels = {}

local GPT_OSS_20B <const> = {
  embed = "bf16w_embed_k2880",
  norm_attn = "rmsnorm_k2880",
  matmul_qkv = "bf16w_matmul_n5120_k2880",
  rope_append = "rope_append_h64_g8_d64",
  attn_sliding = "attn_sliding_h64_g8_d64_w128",
  attn_full = "attn_full_h64_g8_d64",
  matmul_o = "bf16w_matmul_residual_n2880_k4096",
  norm_mlp = "rmsnorm_k2880",
  matmul_router = "bf16w_matmul_n32_k2880",
  router_topk = "router_topk_e32_top4",
  moe_sort = "moe_sort_e32_top4",
  moe_gate_up = "mf4w_moe_gate_up_swiglu_n5760_k2880_e32_top4",
  moe_down = "mf4w_moe_down_n2880_k2880_e32_top4",
  moe_combine = "moe_combine_n2880_top4",
  norm_final = "rmsnorm_gather_k2880",
  matmul_unembed = "bf16w_matmul_n201088_k2880",
}

function TestKernels.test_gpt_oss_20b() lu.assertEquals(symbols(chain.run(chain.GPT_OSS_20B).kernels), GPT_OSS_20B) end

function TestKernels.test_120b_differs_in_its_experts_only()
  local want = {}
  for role, symbol in pairs(GPT_OSS_20B) do
    want[role] = symbol:gsub("_e32_", "_e128_"):gsub("_n32_", "_n128_")
  end
  lu.assertEquals(symbols(chain.run(chain.GPT_OSS_120B).kernels), want)
end

function TestKernels.test_order_of_first_use()
  local roles = {}
  for i, kernel in ipairs(chain.run("tests/models/odd_default_rope/config.json").kernels.list) do
    roles[i] = kernel.role
  end
  lu.assertEquals(table.concat(roles, " "), "embed norm_attn matmul_qkv rope_append attn_full matmul_o norm_mlp "
    .. "matmul_router router_topk moe_sort moe_gate_up moe_down moe_combine attn_sliding norm_final matmul_unembed")
end

function TestKernels.test_files_and_templates()
  for _, path in ipairs(chain.configs()) do
    for _, kernel in ipairs(chain.run(path).kernels.list) do
      lu.assertEquals(kernel.file, kernel.role .. ".c")
      lu.assertEquals(lfs.attributes(kernel.template, "mode"), "file", kernel.template)
      lu.assertStrMatches(kernel.because, "%l[^\n|]+")
    end
  end
end

function TestKernels.test_prototypes()
  local of = chain.run(chain.GPT_OSS_20B).kernels.of
  lu.assertEquals(of.rope_append.prototype,
    "void launch_rope_append(const struct pass *pass, size_t in, size_t kv, int positions)")
  lu.assertEquals(of.matmul_qkv.prototype, "void launch_matmul_qkv(const struct pass *pass, size_t in, size_t out, "
    .. "enum weight q, enum weight k, enum weight v,\n    enum weight q_bias, enum weight k_bias, enum weight v_bias)")
  lu.assertEquals(of.moe_sort.prototype,
    "void launch_moe_sort(const struct pass *pass, size_t expert, size_t start, size_t pair)")
end

TestVariants = {}

function TestVariants.test_plain_experts_and_types()
  local bf16 = chain.run("tests/models/rand_bf16/config.json").kernels
  lu.assertEquals(symbols(bf16).moe_gate_up, "bf16w_moe_gate_up_swiglu_n448_k160_e4_top1")
  lu.assertEquals(symbols(bf16).moe_down, "bf16w_moe_down_n160_k224_e4_top1")
  local mxfp4 = chain.run(chain.GPT_OSS_20B).kernels
  lu.assertEquals({ bf16.of.moe_down.parameters.weights, mxfp4.of.moe_down.parameters.weights },
    { "WEIGHTS_BF16", "WEIGHTS_MXFP4" })
  local f32 = symbols(chain.run("tests/models/odd_f32/config.json").kernels)
  lu.assertEquals({ f32.embed, f32.matmul_o, f32.moe_down },
    { "f32w_embed_k32", "f32w_matmul_residual_n32_k120", "f32w_moe_down_n32_k64_e3_top2" })
  lu.assertEquals(symbols(chain.run("tests/models/odd_f16/config.json").kernels).embed, "f32w_embed_k64")
end

function TestVariants.test_only_one_kind_of_attention()
  local full = chain.run("tests/models/odd_no_window/config.json").kernels
  lu.assertNil(full.of.attn_sliding)
  lu.assertEquals(#full.list, 15)
  local sliding = chain.run("tests/models/odd_all_experts/config.json").kernels
  lu.assertNil(sliding.of.attn_full)
  lu.assertEquals(symbols(sliding).attn_sliding, "attn_sliding_h3_g3_d48_w5")
end

function TestVariants.test_no_attention_bias()
  local of = chain.run(chain.GPT_OSS_20B, function(c) c.attention_bias = false end).kernels.of
  lu.assertEquals(of.matmul_o.prototype,
    "void launch_matmul_o(const struct pass *pass, size_t in, size_t out, enum weight weight)")
  lu.assertEquals({ of.matmul_o.parameters.bias, of.matmul_qkv.parameters.bias, of.matmul_router.parameters.bias },
    { false, false, true })
end

TestCost = {}

local function is_product(kernel) return kernel.role:find("^matmul_") or kernel.role:find("^moe_[gd]") end

-- A token of gpt-oss meets these parameters: those of matrices cost two flops each. The others are,
-- in a layer: two norms, the biases of q, k, v, o and the router, the sinks, and four experts' biases; and
-- the last norm.
local function assert_active(path, n_layers, n_experts, active)
  local stages, flops = chain.run(path), 0
  for _, op in ipairs(stages.ops.list) do
    local kernel = stages.kernels.of[op.role]
    if is_product(kernel) then flops = flops + kernel.flops end
  end
  local vectors = 2 * 2880 + 5120 + 2880 + n_experts + 64 + 4 * (5760 + 2880)
  lu.assertEquals(flops // 2 + n_layers * vectors + 2880, active)
end

function TestCost.test_published_active_parameters()
  assert_active(chain.GPT_OSS_20B, 24, 32, 3608307264)
  assert_active(chain.GPT_OSS_120B, 36, 128, 5132849472)
end

function TestCost.test_every_weight_byte_belongs_to_one_step()
  for _, path in ipairs(chain.configs()) do
    local stages, steps, tensors = chain.run(path), 0, 0
    for _, op in ipairs(stages.ops.list) do steps = steps + stages.kernels.of[op.role].weight_bytes end
    for _, tensor in ipairs(stages.weights.tensors) do tensors = tensors + tensor.bytes end
    lu.assertEquals(steps, tensors, path)
  end
end

-- Heads of attention that one thread works on, at most 8, and that it works on with sums in registers, at most 4.
function TestVariants.test_heads_of_attention()
  for per_kv_head, want in pairs { [8] = { 8, 4 }, [1] = { 1, 1 }, [5] = { 5, 1 }, [6] = { 6, 3 }, [16] = { 8, 4 },
    [14] = { 7, 1 }, [11] = { 1, 1 } } do
    local of = chain.run(chain.GPT_OSS_20B, function(c)
      c.num_attention_heads, c.num_key_value_heads = 2 * per_kv_head, 2
    end).kernels.of
    local parameters = of.attn_full.parameters
    lu.assertEquals({ parameters.heads, parameters.few_heads }, want, tostring(per_kv_head))
  end
end

TestCheck = {}

local function assert_refused(message, change)
  local s = chain.run("tests/models/abacus/config.json")
  change(s)
  chain.refused(message, select.check, s.kernels, s.ops, s.model, s.weights, cpu)
end

function TestCheck.test_layers_of_two_types()
  assert_refused("matmul_o: one role, two kernels: f32_bf16w_matmul_residual_n192_k512__cpu, "
    .. "f32_f32w_matmul_residual_n192_k512__cpu", function(s) s.weights.of.W_02_O.stored = "F32" end)
end

function TestCheck.test_layers_of_two_signatures()
  local symbol = "f32_bf16w_matmul_residual_n192_k512__cpu"
  assert_refused("matmul_o: one role, two kernels: " .. symbol .. ", " .. symbol, function(s)
    for _, op in ipairs(s.ops.list) do
      if op.role == "matmul_o" and op.layer == 3 then table.remove(op.arguments) end
    end
  end)
end

os.exit(lu.LuaUnit.run())
