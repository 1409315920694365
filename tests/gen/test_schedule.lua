-- gen/schedule.lua: paragraphs, steps and their C names; the gate.
-- luacheck: globals TestSteps TestCheck
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local lu = require "luaunit"
local schedule = require "gen.schedule"

local function text(step)
  return table.concat({ step.list, step.layer, step.role, table.unpack(step.arguments) }, " ")
end

TestSteps = {}

function TestSteps.test_paragraphs()
  for path, n_layers in pairs { [chain.GPT_OSS_20B] = 24, [chain.GPT_OSS_120B] = 36 } do
    local steps = chain.run(path).steps
    lu.assertEquals(#steps, n_layers + 2)
    lu.assertEquals({ steps[1].title, #steps[1].lines }, { "embedding", 1 })
    lu.assertEquals({ steps[n_layers + 2].title, #steps[n_layers + 2].lines }, { "head", 2 })
    for i = 0, n_layers - 1 do
      local kind = i % 2 == 0 and "sliding" or "full"
      lu.assertEquals(steps[i + 2].title, string.format("layer %02d, %s attention", i, kind))
      lu.assertEquals(#steps[i + 2].lines, 12)
    end
  end
end

function TestSteps.test_one_layer()
  local lines = {}
  for i, step in ipairs(chain.run("tests/models/rand_bf16/config.json").steps[3].lines) do lines[i] = text(step) end
  lu.assertEquals(lines, {
    "STEP 1 norm_attn BUF_X BUF_H W_01_ATTN_NORM",
    "STEP 1 matmul_qkv BUF_H BUF_QKV W_01_Q W_01_K W_01_V W_01_Q_BIAS W_01_K_BIAS W_01_V_BIAS",
    "STEP 1 rope_append BUF_QKV KV_01 KV_SLIDING_POSITIONS",
    "STEP 1 attn_sliding BUF_QKV BUF_ATTN KV_01 W_01_SINKS",
    "STEP 1 matmul_o BUF_ATTN BUF_X W_01_O W_01_O_BIAS",
    "STEP 1 norm_mlp BUF_X BUF_H W_01_MLP_NORM",
    "STEP 1 matmul_router BUF_H BUF_ROUTER W_01_ROUTER W_01_ROUTER_BIAS",
    "STEP 1 router_topk BUF_ROUTER BUF_EXPERT BUF_EXPERT_WEIGHT",
    "STEP 1 moe_sort BUF_EXPERT BUF_EXPERT_START BUF_PAIR",
    "STEP 1 moe_gate_up BUF_H BUF_GATED BUF_EXPERT_START BUF_PAIR W_01_GATE_UP W_01_GATE_UP_BIAS",
    "STEP 1 moe_down BUF_GATED BUF_DOWN BUF_EXPERT_START BUF_PAIR W_01_DOWN W_01_DOWN_BIAS",
    "STEP 1 moe_combine BUF_DOWN BUF_EXPERT_WEIGHT BUF_X",
  })
end

function TestSteps.test_before_and_after_the_layers()
  local steps = chain.run(chain.GPT_OSS_20B).steps
  lu.assertEquals(text(steps[1].lines[1]), "STEP -1 embed BUF_X W_EMBED")
  lu.assertEquals(text(steps[26].lines[1]), "STEP -1 norm_final BUF_X BUF_LAST W_NORM")
  lu.assertEquals(text(steps[26].lines[2]), "STEP -1 matmul_unembed BUF_LAST BUF_LOGITS W_UNEMBED")
end

function TestSteps.test_titles_follow_the_list_of_layers()
  local titles = {}
  for i, paragraph in ipairs(chain.run("tests/models/odd_sharded/config.json").steps) do titles[i] = paragraph.title end
  lu.assertEquals(titles, { "embedding", "layer 00, full attention", "layer 01, full attention",
    "layer 02, sliding attention", "layer 03, sliding attention", "layer 04, full attention", "head" })
end

function TestSteps.test_a_model_of_one_layer()
  local steps = chain.run(chain.GPT_OSS_20B, function(c)
    c.num_hidden_layers, c.layer_types = 1, { "sliding_attention" }
  end).steps
  lu.assertEquals({ #steps, steps[2].title, steps[3].title }, { 3, "layer 00, sliding attention", "head" })
end

TestCheck = {}

local function assert_refused(message, change)
  local s = chain.run("tests/models/abacus/config.json")
  change(s)
  chain.refused(message, schedule.check, s.steps, s.kernels, s.plan)
end

function TestCheck.test_no_kernel()
  assert_refused("moe_down has no kernel", function(s) s.kernels.of.moe_down = nil end)
end

function TestCheck.test_no_buffer()
  assert_refused("embed: BUF_X is not in the plan", function(s) s.plan.buffers[#s.plan.buffers] = nil end)
end

function TestCheck.test_no_kv_layer()
  assert_refused("rope_append: KV_03 is not in the plan", function(s) s.plan.kv.layers[4] = nil end)
end

os.exit(lu.LuaUnit.run())
