-- templates/kv.h.in in its three forms, compiled by a C compiler: every element of every key and value has an offset of
-- its own within KV_BYTES, and the plan counts the same bytes.
-- luacheck: globals TestElements
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
local gfx90a = require "gen.target.gfx90a"
local lu = require "luaunit"

local SCRATCH <const> = "build/tests/kv"
local ABACUS <const> = "tests/models/abacus/config.json"
local CC <const> = "cc -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Wpedantic -Wshadow -Werror"

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- The output of tests/gen/kv_elements.c for a tree.
local function walk(stages)
  assert(os.execute(string.format("rm -rf %s && mkdir -p %s", SCRATCH, SCRATCH)))
  local files, layers = chain.files(stages), {}
  write(SCRATCH .. "/kv.h", files["kv.h"])
  write(SCRATCH .. "/model.h", files["model.h"])
  for i, layer in ipairs(stages.plan.kv.layers) do
    layers[i] = string.format("LAYER(%s, KV_%s_POSITIONS)", layer.symbol, layer.attention:upper())
  end
  assert(os.execute(string.format("%s -I%s -D'LAYERS=%s' -o %s/walk tests/gen/kv_elements.c", CC, SCRATCH,
    table.concat(layers, " "), SCRATCH)))
  local pipe = assert(io.popen(SCRATCH .. "/walk"))
  local text = pipe:read("a")
  pipe:close()
  return text
end

local HALVES <const>, FLOATS <const>, BLOCKS <const> = chain.roomy(gfx90a.mixed), chain.roomy(gfx90a.fp32), cpu

local function assert_elements(path, target, context, change)
  local stages = chain.run(path, change, { target = target, slots = 3, context = context })
  local pads = target == HALVES and #stages.plan.kv.layers * 3 * stages.model.n_kv_heads * 384 or 0
  lu.assertEquals(walk(stages), string.format("%d %d\n", stages.plan.kv.bytes, pads),
    string.format("%s, head_dim %d, context %d", path, stages.model.d_head, context))
end

TestElements = {}

function TestElements.test_all_models_in_halves()
  for _, path in ipairs(chain.configs()) do
    if path:find("^tests/models/") then assert_elements(path, HALVES, 200) end
  end
end

function TestElements.test_models_in_floats()
  for _, name in ipairs { "abacus", "odd_all_experts", "odd_no_window", "odd_sharded", "rand_bf16" } do
    for _, target in ipairs { FLOATS, BLOCKS } do
      assert_elements("tests/models/" .. name .. "/config.json", target, 200)
    end
  end
end

-- In halves, keys are padded to multiples of 32 elements, values to multiples of 16.
function TestElements.test_heads_of_every_size()
  for _, d_head in ipairs { 16, 40, 72, 104, 120, 152, 256 } do
    assert_elements(ABACUS, HALVES, 70, function(c) c.head_dim = d_head end)
  end
  for _, d_head in ipairs { 18, 50 } do
    assert_elements(ABACUS, FLOATS, 70, function(c) c.head_dim = d_head end)
  end
end

-- In blocks, keys and values are padded to multiples of 16 elements, which cost their bytes.
function TestElements.test_heads_of_every_size_in_blocks()
  for d_head, width in pairs { [2] = 16, [16] = 16, [18] = 32, [50] = 64, [72] = 80, [256] = 256 } do
    local function change(c) c.head_dim = d_head end
    assert_elements(ABACUS, BLOCKS, 70, change)
    local kv = chain.run(ABACUS, change, { target = BLOCKS, slots = 3, context = 70 }).plan.kv
    lu.assertEquals(kv.bytes, 4 * 3 * 80 * 2 * 2 * width * 4, d_head) -- 4 layers, 3 slots, 80 positions, 2 heads
  end
end

-- Rings have one block or a few, and hold no more than the window and a chunk.
function TestElements.test_contexts()
  for _, context in ipairs { 1, 16, 31, 32, 33, 161, 512 } do
    for _, target in ipairs { HALVES, FLOATS, BLOCKS } do assert_elements(ABACUS, target, context) end
  end
end

os.exit(lu.LuaUnit.run())
