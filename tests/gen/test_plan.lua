-- gen/plan.lua: limits, the arena against liveness computed here in another way, the KV cache against
-- published sizes, and the gate.
-- luacheck: globals TestLimits TestArena TestKv TestCheck
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require "gen.target.cpu"
local lu = require "luaunit"
local plan = require "gen.plan"

TestLimits = {}

local function limits(path, given) return plan.limits(chain.model(path), cpu, given) end

function TestLimits.test_defaults()
  lu.assertEquals(limits(chain.GPT_OSS_20B, {}), { slots = 16, context = 4096, rows = 128, chunk = 128 })
end

function TestLimits.test_a_short_model_shortens_the_context()
  lu.assertEquals(limits("tests/models/rand_bf16/config.json", {}),
    { slots = 16, context = 256, rows = 128, chunk = 128 })
end

-- Every slot may bring a row, and no chunk is longer than a sequence.
function TestLimits.test_given()
  lu.assertEquals(limits(chain.GPT_OSS_20B, { slots = 500, context = 131072 }),
    { slots = 500, context = 131072, rows = 500, chunk = 128 })
  lu.assertEquals(limits(chain.GPT_OSS_20B, { slots = 1, context = 1 }),
    { slots = 1, context = 1, rows = 128, chunk = 1 })
end

function TestLimits.test_out_of_range()
  local model = chain.model(chain.GPT_OSS_20B)
  chain.refused("--context 131073: want 1 to 131072 (max_position_embeddings)", plan.limits, model, cpu,
    { context = 131073 })
  chain.refused("--context 0: want 1 to 131072 (max_position_embeddings)", plan.limits, model, cpu, { context = 0 })
  chain.refused("--slots 65537: want 1 to 65536", plan.limits, model, cpu, { slots = 65537 })
  chain.refused("--slots 0: want 1 to 65536", plan.limits, model, cpu, { slots = 0 })
  lu.assertEquals(limits(chain.GPT_OSS_20B, { slots = 65536 }).rows, 65536)
end

TestArena = {}

-- Sets of buffers live at each step, found backwards: those the step names, and those that are read
-- later without being written before.
local function live_sets(list)
  local live, sets = {}, {}
  for step = #list, 1, -1 do
    local here = {}
    for name in pairs(live) do here[name] = true end
    for _, argument in ipairs(list[step].arguments) do
      if argument.type == "buffer" then
        here[argument.value] = true
        live[argument.value] = argument.access ~= "write" or nil
      end
    end
    sets[step] = here
  end
  return sets
end

-- No two buffers of a step share a byte -> the bytes of the largest set.
local function assert_apart(stages)
  local placed, largest = {}, 0
  for _, buffer in ipairs(stages.plan.buffers) do placed[buffer.name] = buffer end
  for _, set in ipairs(live_sets(stages.ops.list)) do
    local here, total = {}, 0
    for name in pairs(set) do here[#here + 1] = placed["BUF_" .. name:upper()] end
    table.sort(here, function(a, b) return a.offset < b.offset end)
    for i, buffer in ipairs(here) do
      total = total + buffer.bytes
      local after = here[i + 1]
      lu.assertTrue(not after or buffer.offset + buffer.bytes <= after.offset, buffer.name)
    end
    largest = math.max(largest, total)
  end
  return largest
end

function TestArena.test_live_buffers_lie_apart()
  for _, path in ipairs(chain.configs()) do
    for _, slots in ipairs { 1, 1000 } do
      local stages = chain.run(path, nil, { slots = slots })
      local largest, slack = assert_apart(stages), 256 * #stages.plan.buffers
      lu.assertTrue(stages.plan.arena_bytes <= largest * 5 // 4 + slack,
        string.format("%s: arena %d, largest live set %d", path, stages.plan.arena_bytes, largest))
    end
  end
end

-- A chain of 20 ops on some of 8 buffers, each of which is written first; `next` gives numbers from 0 to
-- n - 1.
local function random_ops(next)
  local built = { list = {}, buffers = {} }
  for i = 1, 8 do
    built.buffers[i] = { name = "b" .. i, per = "row", count = 1 + next(400), dtype = "F32" }
    built.list[i] = { role = "op" .. i,
      arguments = { { type = "buffer", value = "b" .. i, access = "write", name = "out" } } }
  end
  for i = 9, 28 do
    local from, to = "b" .. 1 + next(8), "b" .. 1 + next(8)
    built.list[i] = { role = "op" .. i, arguments = {
      { type = "buffer", value = from, access = "read", name = "in" },
      { type = "buffer", value = to, access = from == to and "update" or "write", name = "out" },
    } }
  end
  return built
end

function TestArena.test_random_ops()
  local state = 1
  local function next(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n
  end
  local model, given = chain.model(chain.GPT_OSS_20B), { slots = 1, context = 1, rows = 3, chunk = 1 }
  for _ = 1, 300 do
    local built = random_ops(next)
    local result = plan.arena(built, { list = {} }, model, given)
    assert_apart { ops = built, plan = result }
    plan.check(result, { mapped_bytes = 0, packed_bytes = 0 }, cpu)
  end
end

-- The logits stand alone with the rows they are made from: 128 of each.
function TestArena.test_gpt_oss_20b()
  local stages = chain.run(chain.GPT_OSS_20B)
  lu.assertEquals(stages.plan.arena_bytes, 128 * (201088 + 2880) * 4)
  lu.assertEquals(stages.plan.workspace_bytes, stages.kernels.of.matmul_o.workspace)
end

function TestArena.test_a_buffer_s_record()
  local buffers = chain.run("tests/models/abacus/config.json").plan.buffers
  local names = {}
  for i, buffer in ipairs(buffers) do names[i] = buffer.name end
  lu.assertEquals(table.concat(names, " "), "BUF_ATTN BUF_DOWN BUF_EXPERT BUF_EXPERT_START BUF_EXPERT_WEIGHT "
    .. "BUF_GATED BUF_H BUF_LAST BUF_LOGITS BUF_PAIR BUF_QKV BUF_ROUTER BUF_X")
  lu.assertEquals({ buffers[4].bytes, buffers[4].from, buffers[4].to }, { 9 * 4, "moe_sort", "moe_down" })
  lu.assertEquals({ buffers[13].bytes, buffers[13].from, buffers[13].to }, { 128 * 192 * 4, "embed", "norm_final" })
  for _, buffer in ipairs(buffers) do lu.assertEquals(buffer.offset % 256, 0) end
end

TestKv = {}

local function kv(path, context, slots, change)
  return chain.run(path, change, { context = context, slots = slots }).plan.kv
end

-- A slot's bytes beyond what a chunk adds to the sliding layers, halved since floats are twice BF16, in MB.
local function published(path, context)
  local layout = kv(path, context, 3)
  local chunks = layout.sliding * 128 * 2 * 512 * 4
  return string.format("%.1f", (layout.bytes // 3 - chunks) / 2e6)
end

function TestKv.test_published_sizes()
  local want = { [1024] = { "28.3", "42.5" }, [2048] = { "53.5", "80.2" }, [4096] = { "103.8", "155.7" } }
  for context, sizes in pairs(want) do
    lu.assertEquals({ published(chain.GPT_OSS_20B, context), published(chain.GPT_OSS_120B, context) }, sizes)
  end
end

-- 12 sliding layers of 128 + 128 positions, 12 full ones of 4096, keys and values of 512 floats, 16 slots.
function TestKv.test_gpt_oss_20b()
  local layout = kv(chain.GPT_OSS_20B)
  lu.assertEquals({ layout.sliding_positions, layout.full_positions, layout.sliding, layout.full },
    { 256, 4096, 12, 12 })
  lu.assertEquals(layout.bytes, 16 * 12 * (256 + 4096) * 2 * 512 * 4)
end

function TestKv.test_a_ring_is_no_longer_than_the_context()
  lu.assertEquals(kv(chain.GPT_OSS_20B, 255).sliding_positions, 255)
  lu.assertEquals(kv(chain.GPT_OSS_20B, 100).sliding_positions, 100)
  lu.assertEquals(kv("tests/models/odd_one_expert/config.json").sliding_positions, 1 + 128)
end

function TestKv.test_layers_count_those_before_them()
  lu.assertEquals(kv("tests/models/rand_tied/config.json").layers, {
    { symbol = "KV_00", attention = "sliding", sliding = 0, full = 0 },
    { symbol = "KV_01", attention = "full", sliding = 1, full = 0 },
    { symbol = "KV_02", attention = "full", sliding = 1, full = 1 },
    { symbol = "KV_03", attention = "sliding", sliding = 1, full = 2 },
  })
end

function TestKv.test_one_kind_of_layers()
  local full = kv("tests/models/odd_no_window/config.json", 300, 1)
  lu.assertEquals({ full.sliding, full.full, full.bytes }, { 0, 2, 2 * 300 * 2 * (2 * 32) * 4 })
  local sliding = kv("tests/models/odd_all_experts/config.json", 300, 1)
  lu.assertEquals({ sliding.sliding, sliding.full, sliding.bytes }, { 3, 0, 3 * 133 * 2 * (3 * 48) * 4 })
end

TestCheck = {}

local function assert_refused(message, change, memory)
  local stages = chain.run("tests/models/abacus/config.json")
  local buffers = {}
  for _, buffer in ipairs(stages.plan.buffers) do buffers[buffer.name] = buffer end
  change(buffers, stages.plan)
  chain.refused(message, plan.check, stages.plan, stages.weights, { name = "small", memory = memory })
end

function TestCheck.test_overlap()
  assert_refused("BUF_X and BUF_ATTN overlap while both live",
    function(buffers) buffers.BUF_X.offset = buffers.BUF_ATTN.offset end)
  assert_refused("BUF_LOGITS and BUF_LAST overlap while both live",
    function(buffers) buffers.BUF_LOGITS.bytes = buffers.BUF_LOGITS.bytes + 1 end)
end

function TestCheck.test_outside_the_arena()
  assert_refused("BUF_X is outside the arena", function(buffers) buffers.BUF_X.offset = buffers.BUF_X.offset + 256 end)
  assert_refused("BUF_EXPERT_START is outside the arena",
    function(buffers) buffers.BUF_EXPERT_START.offset = buffers.BUF_EXPERT_START.offset + 4 end)
end

-- Weights, arena and KV cache of abacus at its defaults, one byte more than there is.
function TestCheck.test_memory()
  local total = 4018176 + 80128 + 753664 + 22020096
  assert_refused("26,872,064 bytes do not fit the 26,872,063 of small: lower --slots or --context",
    function() end, total - 1)
  local stages = chain.run("tests/models/abacus/config.json")
  plan.check(stages.plan, stages.weights, { name = "small", memory = total })
end

os.exit(lu.LuaUnit.run())
