-- Configs at the bounds of gen/config.lua: each gives a tree that compiles, or one line that says what is wrong.
-- luacheck: globals TestBounds
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local config = require "gen.config"
local lu = require "luaunit"
local program = require "tests.gen.program"
local stages = require "gen.chain"

local FOLDER <const> = "build/tests/bounds"
local TARGETS <const> = { require("gen.target.cpu").mixed, require("gen.target.gfx90a").mixed,
  require("gen.target.gfx90a").fp32, require("gen.target.sm_90").mixed }

local SMALL <const> = { vocab_size = 64, hidden_size = 8, intermediate_size = 8, num_hidden_layers = 2,
  num_attention_heads = 2, num_key_value_heads = 1, head_dim = 16, num_local_experts = 2, num_experts_per_tok = 1 }

-- The values at the ends of what each key may be.
local ENDS <const> = {
  vocab_size = { 1, 16777216 }, hidden_size = { 1, 131072 }, intermediate_size = { 1, 1048576 },
  num_hidden_layers = { 1, 512 }, num_attention_heads = { 1, 1024 }, num_key_value_heads = { 1, 1024 },
  head_dim = { 16, 256 }, num_local_experts = { 1, 4096 }, num_experts_per_tok = { 1, 128 },
  sliding_window = { 0, 1, 1073741824 }, max_position_embeddings = { 1, 1073741824 }, rms_norm_eps = { 1e-30, 1.0 },
  swiglu_limit = { 0.001, 10000.0 }, swiglu_alpha = { 0.001, 10000.0 }, rope_theta = { 1.0000001, 1e12 },
}
local ROPE <const> = { factor = { 1.0, 1e6 }, beta_fast = { 0.001, 1e6 }, beta_slow = { 0.001, 1e6 },
  original_max_position_embeddings = { 1, 1073741824 }, attention_factor = { 0.001, 1000.0 },
  mscale = { 0.001, 1000.0 }, mscale_all_dim = { 0.001, 1000.0 } }

local function text_of(keys, rope)
  local function object(of)
    local parts = {}
    for _, key in ipairs(chain.sorted_names(of)) do parts[#parts + 1] = string.format('"%s": %s', key, of[key]) end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  keys.model_type, keys.rope_scaling = '"gpt_oss"', rope and object(rope)
  return object(keys)
end

-- A tree of every target, or one line that names no line of the generator -> how many trees.
local function assert_one_line(text, given)
  local parsed, errors = config.parse(text, "c.json")
  if not parsed then
    for _, line in ipairs(errors) do lu.assertStrMatches(line, "c%.json: [^\n]+") end
    return 0
  end
  local made = 0
  for _, target in ipairs(TARGETS) do
    local ok, tree = pcall(function()
      local tree = stages.run(parsed, target, given or {})
      tree.name, tree.label, tree.command = "tree", "c.json", "none"
      return chain.files(tree)
    end)
    if ok then
      for name, each in pairs(tree) do
        for number in each:gmatch("%f[%w]enum {[^}]*= (%d+)") do lu.assertTrue(tonumber(number) < 1 << 31, name) end
      end
      made = made + 1
    else
      lu.assertNil(tree:find("\n"), text .. "\n" .. tree)
      lu.assertNil(tree:find("%.lua:%d"), text .. "\n" .. tree)
    end
  end
  return made
end

TestBounds = {}

function TestBounds.test_each_end()
  for key, values in pairs(ENDS) do
    for _, value in ipairs(values) do
      local keys = {}
      for name, each in pairs(SMALL) do keys[name] = each end
      keys[key] = value
      if key == "num_key_value_heads" then keys.num_attention_heads = value end
      if key == "num_experts_per_tok" then keys.num_local_experts = math.max(value, 2) end
      lu.assertTrue(assert_one_line(text_of(keys), { slots = 1, context = 1 }) >= 1, key .. " " .. value)
    end
  end
end

function TestBounds.test_rope_ends()
  for key, values in pairs(ROPE) do
    for _, value in ipairs(values) do
      local rope = { rope_type = '"yarn"', factor = 2.0, beta_fast = 1e6, beta_slow = 0.001, [key] = value }
      local keys = { rope_theta = 1e12 }
      for name, each in pairs(SMALL) do keys[name] = each end
      assert_one_line(text_of(keys, rope), { slots = 1, context = 1 })
    end
  end
end

-- Many keys at an end at the same time.
function TestBounds.test_many_ends()
  math.randomseed(4)
  local made = 0
  for _ = 1, 20 do
    local keys, rope = {}, { rope_type = '"yarn"', factor = 2.0 }
    for name, each in pairs(SMALL) do keys[name] = each end
    for _, key in ipairs(chain.sorted_names(ENDS)) do
      if math.random(3) == 1 then keys[key] = ENDS[key][math.random(#ENDS[key])] end
    end
    for _, key in ipairs(chain.sorted_names(ROPE)) do
      if math.random(3) == 1 then rope[key] = ROPE[key][math.random(2)] end
    end
    keys.num_hidden_layers = math.min(keys.num_hidden_layers, 4)
    made = made + assert_one_line(text_of(keys, rope), { slots = math.random(2) == 1 and 65536 or 1, context = 1 })
  end
  print(string.format("# %d trees", made))
  lu.assertTrue(made > 5)
end

-- All sizes of a cpu tree at their bounds: the compiler sees no overflow.
function TestBounds.test_largest_tree_compiles()
  assert(os.execute("rm -rf " .. FOLDER .. " && mkdir -p " .. FOLDER))
  program.write(FOLDER .. "/largest.json", text_of({ vocab_size = 16777216, hidden_size = 131072,
    intermediate_size = 1048576, num_hidden_layers = 2, num_attention_heads = 1024, num_key_value_heads = 1024,
    head_dim = 256, num_local_experts = 1024, num_experts_per_tok = 128, max_position_embeddings = 1073741824,
    sliding_window = 1073741824 }, { rope_type = '"default"' }))
  local words = string.format("--config %s/largest.json --target cpu --out %s --slots 65536 --context ", FOLDER, FOLDER)
  program.refused(words .. "8388609", "--context: want at most 8388608, got 8388609")
  program.succeed(words .. "8388608")
  local flags = "-std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -fopenmp -fsyntax-only -Iruntime -I" .. FOLDER
    .. "/largest-cpu"
  local status, out, err = program.shell(string.format("for f in %s/largest-cpu/*.c runtime/engine/[demps]*.c; do "
    .. "[ $f = runtime/engine/timing.c ] || cc %s $f || exit 1; done", FOLDER, flags))
  lu.assertEquals({ status, out, err }, { 0, "", "" })
end

-- Configs that once overflowed in the compiler, or gave a message of the generator's own.
function TestBounds.test_configs_that_overflowed()
  local function refused(keys, message)
    local all = {}
    for name, each in pairs(SMALL) do all[name] = each end
    for name, each in pairs(keys) do all[name] = each end
    local _, errors = config.parse(text_of(all), "c.json")
    lu.assertEquals(errors, { "c.json: " .. message })
  end
  refused({ hidden_size = 2147483616 }, "hidden_size: want at most 131072, got 2147483616")
  refused({ num_local_experts = 2147483647 }, "num_local_experts: want at most 4096, got 2147483647")
  refused({ swiglu_limit = 1.2e-38 }, "swiglu_limit: want a number from 0.001 to 10000, got 1.2e-38")
  refused({ vocab_size = 2147483647 }, "vocab_size: want at most 16777216, got 2147483647")
end

os.exit(lu.LuaUnit.run())
