-- gen/model.lua: dimensions and layers; the RoPE tables against golden values; the gate.
-- luacheck: globals TestDescribe TestRope TestCheck
package.path = "./?.lua;" .. package.path

local config = require "gen.config"
local lu = require "luaunit"
local model = require "gen.model"
local support = require "tests.support"

local function describe_file(path)
  local out, errors = config.parse(support.read(path), path)
  if not out then lu.fail(table.concat(errors, "\n")) end
  local m = model.describe(out)
  model.check(m)
  return m
end

-- The model of gpt-oss-20b after `change` has been applied to its config.
local function describe_changed(change)
  local out = assert(config.parse(support.read "gen/configs/gpt-oss-20b.json", "20b"))
  change(out)
  return model.describe(out)
end

TestDescribe = {}

function TestDescribe.test_dimensions()
  local m = describe_file("gen/configs/gpt-oss-120b.json")
  m.layers, m.rope = nil, nil
  lu.assertEquals(m, {
    n_layers = 36, d_model = 2880, d_ff = 2880, n_heads = 64, n_kv_heads = 8, d_head = 64,
    n_experts = 128, top_k = 4, vocab = 201088, max_positions = 131072, window = 128, eps = 1e-5,
    limit = 7.0, alpha = 1.702, attention_bias = true, tied = false, experts = "mxfp4", dtype = "BF16",
  })
end

function TestDescribe.test_four_dialects_give_one_model()
  local m = describe_file("gen/configs/gpt-oss-20b.json")
  lu.assertEquals(describe_file("tests/gen/configs/gpt-oss-20b-hf5.json"), m)
  lu.assertEquals(describe_file("tests/gen/configs/gpt-oss-20b-original.json"), m)
  m.max_positions = 2048
  lu.assertEquals(describe_file("tests/gen/configs/gpt-oss-20b-exporter.json"), m)
end

function TestDescribe.test_layers_are_those_listed()
  lu.assertEquals(describe_file("tests/models/rand_tied/config.json").layers, {
    { index = 0, attention = "sliding" }, { index = 1, attention = "full" },
    { index = 2, attention = "full" }, { index = 3, attention = "sliding" },
  })
end

function TestDescribe.test_without_a_window_all_layers_are_full()
  local m = describe_changed(function(c) c.sliding_window = nil end)
  model.check(m)
  lu.assertNil(m.window)
  for _, layer in ipairs(m.layers) do lu.assertEquals(layer.attention, "full") end
end

function TestDescribe.test_without_a_sliding_layer_there_is_no_window()
  local m = describe_changed(function(c)
    for i = 1, #c.layer_types do c.layer_types[i] = "full_attention" end
  end)
  model.check(m)
  lu.assertNil(m.window)
end

function TestDescribe.test_storage()
  local plain = describe_file("tests/models/rand_bf16/config.json")
  lu.assertEquals({ plain.experts, plain.dtype }, { "plain", "BF16" })
  local dtypes = { float16 = "F16", float32 = "F32" }
  for name, want in pairs(dtypes) do
    lu.assertEquals(describe_changed(function(c) c.dtype = name end).dtype, want)
  end
end

TestRope = {}

local function assert_frequencies(found, want)
  lu.assertEquals(#found, #want)
  for i, f in ipairs(want) do lu.assertAlmostEquals(found[i] / f, 1, 5e-9) end
end

local GPT_OSS <const> = {
  1, 0.689044306, 0.474782055, 0.327145872, 0.225418, 0.155322989, 0.107024421, 0.0737445682,
  0.0508132748, 0.0317056962, 0.0193350011, 0.0115920493, 0.00679495949, 0.00386035932,
  0.00209379238, 0.0010526021, 0.000456483919, 0.000129318701, 3.83088124e-05, 2.6396469e-05,
  1.81883367e-05, 1.25325698e-05, 8.63549588e-06, 5.95023926e-06, 4.09997848e-06, 2.82506683e-06,
  1.94659621e-06, 1.34129104e-06, 9.2420895e-07, 6.36820915e-07, 4.38797825e-07, 3.02351143e-07,
}

function TestRope.test_gpt_oss()
  local m = describe_file("gen/configs/gpt-oss-20b.json")
  assert_frequencies(m.rope.inv_freq, GPT_OSS)
  lu.assertAlmostEquals(m.rope.scale, 1.3465735902799727, 1e-15)
  lu.assertEquals(m.rope.parameters.rope_theta, 150000.0)
end

-- Heads of 32 have every second frequency of heads of 64, and the ramp from 8.0928 / 2 to 17.398 / 2.
function TestRope.test_smaller_heads()
  local m = describe_changed(function(c) c.head_dim = 32 end)
  local want = {}
  for i = 1, 32, 2 do want[#want + 1] = GPT_OSS[i] end
  assert_frequencies(m.rope.inv_freq, want)
end

-- The ramp is from 4 to 9 instead of 4.0464 to 8.6990.
function TestRope.test_truncate_rounds_the_range_outwards()
  local m = describe_changed(function(c) c.head_dim, c.rope.truncate = 32, true end)
  assert_frequencies(m.rope.inv_freq, {
    1, 0.474782055, 0.225418, 0.107024421, 0.0508132748, 0.0194509675, 0.00701571391, 0.00227727194,
    0.000580947502, 3.83088124e-05, 1.81883367e-05, 8.63549588e-06, 4.09997848e-06, 1.94659621e-06,
    9.2420895e-07, 4.38797825e-07,
  })
end

-- The range is -2 to 5; its lower end becomes 0.
function TestRope.test_range_begins_at_the_first_pair()
  assert_frequencies(describe_file("tests/models/rand_mxfp4/config.json").rope.inv_freq, {
    1, 0.463931593, 0.205548048, 0.084468272, 0.03, 0.00702926656, 0.00395284708, 0.00222284926,
    0.00125, 0.000702926656, 0.000395284708, 0.000222284926, 0.000125, 7.02926656e-05,
    3.95284708e-05, 2.22284926e-05,
  })
end

-- Equal betas: both ends are 17.398, so the ramp is a step between pairs 17 and 18.
function TestRope.test_range_without_width_is_a_step()
  local inv_freq = describe_changed(function(c) c.rope.beta_fast = 1.0 end).rope.inv_freq
  lu.assertAlmostEquals(inv_freq[18] * 150000.0 ^ (17 / 32), 1, 1e-12)
  lu.assertAlmostEquals(inv_freq[19] * 150000.0 ^ (18 / 32), 1 / 32, 1e-12)
end

function TestRope.test_factor_one_is_plain_rope()
  local stretched = describe_changed(function(c) c.rope.factor = 1.0 end)
  local plain = describe_changed(function(c) c.rope = { rope_type = "default", rope_theta = 150000.0 } end)
  assert_frequencies(stretched.rope.inv_freq, plain.rope.inv_freq)
  lu.assertEquals({ stretched.rope.scale, plain.rope.scale }, { 1.0, 1.0 })
  lu.assertAlmostEquals(plain.rope.inv_freq[32] * 150000.0 ^ (31 / 32), 1, 1e-12)
end

function TestRope.test_scale()
  local function scale(changes)
    return describe_changed(function(c)
      for key, value in pairs(changes) do c.rope[key] = value end
    end).rope.scale
  end
  lu.assertEquals(scale { attention_factor = 2.5, mscale = 1.0, mscale_all_dim = 0.5 }, 2.5)
  -- (0.1 ln 32 + 1) / (0.05 ln 32 + 1)
  lu.assertAlmostEquals(scale { mscale = 1.0, mscale_all_dim = 0.5 }, 1.1476934674947, 1e-12)
  lu.assertAlmostEquals(scale { mscale = 2.0 }, 1.3465735902799727, 1e-15)
end

TestCheck = {}

local function assert_refused(message, change)
  local m = describe_file("gen/configs/gpt-oss-20b.json")
  change(m)
  local ok, found = pcall(model.check, m)
  lu.assertFalse(ok)
  lu.assertEquals(found, message)
end

function TestCheck.test_shapes()
  assert_refused("model: d_head: want an even number, got 63", function(m) m.d_head = 63 end)
  assert_refused("model: n_heads: want a multiple of n_kv_heads, 8, got 63", function(m) m.n_heads = 63 end)
  assert_refused("model: top_k: want at most n_experts, 32, got 33", function(m) m.top_k = 33 end)
end

function TestCheck.test_products_that_later_stages_could_not_hold()
  assert_refused("model: (n_heads + 2 * n_kv_heads) * d_head: want at most 2147483647, got 5368709120",
    function(m) m.n_heads, m.n_kv_heads = 64 << 20, 8 << 20 end)
  assert_refused("model: 2 * d_ff: want at most 2147483647, got 2147483648", function(m) m.d_ff = 1 << 30 end)
  assert_refused("model: want at most 2^50 parameters, got 1.28e+18",
    function(m) m.n_experts = 2147483647 end)
end

function TestCheck.test_layers()
  assert_refused("model: layers: want n_layers, 24, got 23", function(m) table.remove(m.layers) end)
  assert_refused("model: layers[2]: want index 1, got 7", function(m) m.layers[2].index = 7 end)
  assert_refused("model: window: want one if a layer is sliding, and only then",
    function(m) m.window = nil end)
end

function TestCheck.test_frequencies()
  assert_refused("model: rope: want 32 frequencies, got 31", function(m) table.remove(m.rope.inv_freq) end)
  assert_refused("model: rope.inv_freq[3]: want a number in (0, 1], got 2",
    function(m) m.rope.inv_freq[3] = 2.0 end)
end

os.exit(lu.LuaUnit.run())
