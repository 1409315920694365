-- gen/ops.lua: the operations of a pass, their order and arguments in every variant of the model; the sizes of the
-- buffers; the gate.
-- luacheck: globals TestBuild TestBuffers TestCheck
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
local lu = require "luaunit"
local ops = require "gen.ops"
local weights = require "gen.weights"

local function build(path, change)
  local model = chain.model(path, change)
  return ops.build(model, cpu), weights.list(model, cpu)
end

local line = chain.op_line

local function lines(built, layer)
  local out = {}
  for _, op in ipairs(built.list) do
    if op.layer == layer then out[#out + 1] = line(op) end
  end
  return out
end

local function op_of(built, layer, role)
  for _, op in ipairs(built.list) do
    if op.layer == layer and op.role == role then return op end
  end
  return nil
end

TestBuild = {}

function TestBuild.test_a_sliding_layer()
  lu.assertEquals(lines(build(chain.GPT_OSS_20B), 6), {
    "norm_attn(in=<x out=>h weight=W_06_ATTN_NORM)",
    "matmul_qkv(in=<h out=>qkv q=W_06_Q k=W_06_K v=W_06_V q_bias=W_06_Q_BIAS k_bias=W_06_K_BIAS v_bias=W_06_V_BIAS)",
    "rope_append(in=*qkv kv=KV_06 positions=KV_SLIDING_POSITIONS)",
    "attn_sliding(in=<qkv out=>attn kv=KV_06 sinks=W_06_SINKS)",
    "matmul_o(in=<attn out=*x weight=W_06_O bias=W_06_O_BIAS)",
    "norm_mlp(in=<x out=>h weight=W_06_MLP_NORM)",
    "matmul_router(in=<h out=>router weight=W_06_ROUTER bias=W_06_ROUTER_BIAS)",
    "router_topk(in=<router expert=>expert weight=>expert_weight)",
    "moe_sort(expert=<expert start=>expert_start pair=>pair)",
    "moe_gate_up(in=<h out=>gated start=<expert_start pair=<pair values=W_06_GATE_UP bias=W_06_GATE_UP_BIAS)",
    "moe_down(in=<gated out=>down start=<expert_start pair=<pair values=W_06_DOWN bias=W_06_DOWN_BIAS)",
    "moe_combine(in=<down weight=<expert_weight out=*x)",
  })
end

function TestBuild.test_a_full_layer_differs_in_attention_only()
  local built = build(chain.GPT_OSS_20B)
  local sliding, full = lines(built, 6), lines(built, 7)
  local differ = {}
  for i, text in ipairs(sliding) do
    if text:gsub("_06", "_07") ~= full[i] then differ[#differ + 1] = full[i] end
  end
  lu.assertEquals(differ, { "rope_append(in=*qkv kv=KV_07 positions=KV_FULL_POSITIONS)",
    "attn_full(in=<qkv out=>attn kv=KV_07 sinks=W_07_SINKS)" })
end

function TestBuild.test_before_and_after_the_layers()
  local built = build(chain.GPT_OSS_20B)
  lu.assertEquals(lines(built, nil), { "embed(out=>x table=W_EMBED)", "norm_final(in=<x out=>last weight=W_NORM)",
    "matmul_unembed(in=<last out=>logits weight=W_UNEMBED)" })
  lu.assertEquals({ built.list[1].role, built.list[#built.list].role }, { "embed", "matmul_unembed" })
end

function TestBuild.test_layers_follow_one_another()
  for path, n_layers in pairs { [chain.GPT_OSS_20B] = 24, [chain.GPT_OSS_120B] = 36 } do
    local built = build(path)
    lu.assertEquals(#built.list, 12 * n_layers + 3)
    for i = 2, #built.list - 2 do lu.assertEquals(built.list[i].layer, (i - 2) // 12) end
  end
end

function TestBuild.test_no_attention_bias()
  local built = build(chain.GPT_OSS_20B, function(c) c.attention_bias = false end)
  lu.assertEquals(line(op_of(built, 0, "matmul_qkv")), "matmul_qkv(in=<h out=>qkv q=W_00_Q k=W_00_K v=W_00_V)")
  lu.assertEquals(line(op_of(built, 0, "matmul_o")), "matmul_o(in=<attn out=*x weight=W_00_O)")
  lu.assertEquals(line(op_of(built, 0, "matmul_router")),
    "matmul_router(in=<h out=>router weight=W_00_ROUTER bias=W_00_ROUTER_BIAS)")
end

function TestBuild.test_plain_experts()
  local built = build("tests/models/rand_bf16/config.json")
  lu.assertEquals(line(op_of(built, 1, "moe_gate_up")),
    "moe_gate_up(in=<h out=>gated start=<expert_start pair=<pair values=W_01_GATE_UP bias=W_01_GATE_UP_BIAS)")
  lu.assertEquals(line(op_of(built, 1, "moe_down")),
    "moe_down(in=<gated out=>down start=<expert_start pair=<pair values=W_01_DOWN bias=W_01_DOWN_BIAS)")
end

function TestBuild.test_without_a_window_no_layer_slides()
  local built = build("tests/models/odd_no_window/config.json")
  for _, op in ipairs(built.list) do
    lu.assertNotEquals(op.role, "attn_sliding")
    for _, argument in ipairs(op.arguments) do lu.assertNotEquals(argument.value, "KV_SLIDING_POSITIONS") end
  end
end

function TestBuild.test_layers_beyond_99()
  local built, list = build(chain.GPT_OSS_20B, function(c)
    c.num_hidden_layers = 101
    for i = 1, 101 do c.layer_types[i] = "full_attention" end
  end)
  ops.check(built, list)
  lu.assertEquals(line(op_of(built, 100, "attn_full")), "attn_full(in=<qkv out=>attn kv=KV_100 sinks=W_100_SINKS)")
end

TestBuffers = {}

local function sizes(path)
  local out = {}
  for i, buffer in ipairs(build(path).buffers) do
    out[i] = string.format("%s %s %d %s", buffer.name, buffer.per, buffer.count, buffer.dtype)
  end
  return out
end

function TestBuffers.test_gpt_oss_20b()
  lu.assertEquals(sizes(chain.GPT_OSS_20B), {
    "x row 2880 F32", "h row 2880 F32", "qkv row 5120 F32", "attn row 4096 F32", "router row 32 F32",
    "expert row 4 I32", "expert_weight row 4 F32",
    "gated row 11520 F32", "down row 11520 F32", "last output 2880 F32", "logits output 201088 F32",
    "expert_start pass 33 I32", "pair row 4 I32",
  })
end

-- 3 query and 3 KV heads of 48, all 6 experts of 32 selected, a d_model of 96.
function TestBuffers.test_odd_shapes()
  lu.assertEquals(sizes("tests/models/odd_all_experts/config.json"), {
    "x row 96 F32", "h row 96 F32", "qkv row 432 F32", "attn row 144 F32", "router row 6 F32",
    "expert row 6 I32", "expert_weight row 6 F32",
    "gated row 192 F32", "down row 576 F32", "last output 96 F32", "logits output 67 F32",
    "expert_start pass 7 I32", "pair row 6 I32",
  })
end

TestCheck = {}

local function assert_refused(message, change)
  local built, list = build("tests/models/abacus/config.json")
  ops.check(built, list)
  change(built, list)
  chain.refused(message, ops.check, built, list)
end

function TestCheck.test_all_configs_pass()
  for _, path in ipairs(chain.configs()) do ops.check(build(path)) end
end

function TestCheck.test_weight_that_is_no_tensor()
  assert_refused("matmul_o: W_02_O is no tensor", function(_, list) list.of.W_02_O = nil end)
end

function TestCheck.test_read_before_it_is_written()
  assert_refused("norm_attn: x is read before it is written", function(built) table.remove(built.list, 1) end)
  assert_refused("rope_append: qkv is read before it is written",
    function(built) op_of(built, 0, "matmul_qkv").arguments[2].value = "attn" end)
  assert_refused("matmul_qkv: qkv is read before it is written",
    function(built) op_of(built, 0, "matmul_qkv").arguments[2].access = "update" end)
end

function TestCheck.test_left_over()
  assert_refused("logits is never used", function(built) built.list[#built.list].arguments[2].value = "last" end)
  assert_refused("spare is never used", function(built) table.insert(built.buffers, { name = "spare" }) end)
  assert_refused("W_03_SINKS is never used",
    function(built) op_of(built, 3, "attn_full").arguments[4].value = "W_01_SINKS" end)
end

os.exit(lu.LuaUnit.run())
