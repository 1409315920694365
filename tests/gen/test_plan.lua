-- gen/plan.lua: limits; the arena against liveness that is computed here in another way; the KV cache against
-- published sizes; the gate.
-- luacheck: globals TestLimits TestArena TestKv TestMemory TestCheck
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
local gfx90a = require "gen.target.gfx90a"
local lu = require "luaunit"
local plan = require "gen.plan"

TestLimits = {}

local function limits(path, given) return plan.limits(chain.model(path), cpu, given) end

function TestLimits.test_defaults()
  lu.assertEquals(limits(chain.GPT_OSS_20B, {}), { slots = 16, context = 4096, rows = 128, chunk = 128, logits = 128 })
end

function TestLimits.test_a_short_model_shortens_the_context()
  lu.assertEquals(limits("tests/models/rand_bf16/config.json", {}),
    { slots = 16, context = 256, rows = 128, chunk = 128, logits = 128 })
end

-- Each slot may have a row in a pass, and no chunk is longer than a sequence.
function TestLimits.test_given()
  lu.assertEquals(limits(chain.GPT_OSS_20B, { slots = 500, context = 131072 }),
    { slots = 500, context = 131072, rows = 500, chunk = 128, logits = 500 })
  lu.assertEquals(limits(chain.GPT_OSS_20B, { slots = 1, context = 1 }),
    { slots = 1, context = 1, rows = 128, chunk = 1, logits = 128 })
end

function TestLimits.test_out_of_range()
  local model = chain.model(chain.GPT_OSS_20B)
  chain.refused("--context: want 1 to 131072 (max_position_embeddings), got 131073", plan.limits, model, cpu,
    { context = 131073 })
  chain.refused("--context: want 1 to 131072 (max_position_embeddings), got 0", plan.limits, model, cpu,
    { context = 0 })
  chain.refused("--slots: want 1 to 65536, got 65537", plan.limits, model, cpu, { slots = 65537 })
  chain.refused("--slots: want 1 to 65536, got 0", plan.limits, model, cpu, { slots = 0 })
  lu.assertEquals(limits(chain.GPT_OSS_20B, { slots = 65536 }).rows, 65536)
end

-- Fused steps are captured for one row, for 16 and twice as many each time, from 256 on for every 128 rows, from 1024
-- on for every quarter of a power of two, and for all rows. Whole logits are bounded.
function TestLimits.test_buckets()
  local model = chain.model(chain.GPT_OSS_20B)
  local function buckets(slots)
    local given = plan.limits(model, gfx90a.mixed, { slots = slots })
    lu.assertEquals({ given.rows, given.logits }, { math.max(slots, 128), 128 })
    return table.concat(given.buckets, " ")
  end
  lu.assertEquals(buckets(1), "1 16 32 64 128")
  lu.assertEquals(buckets(128), "1 16 32 64 128")
  lu.assertEquals(buckets(129), "1 16 32 64 128 129")
  lu.assertEquals(buckets(1024), "1 16 32 64 128 256 384 512 640 768 896 1024")
  lu.assertEquals(buckets(1536), "1 16 32 64 128 256 384 512 640 768 896 1024 1280 1536")
  lu.assertStrContains(buckets(5000), " 1024 1280 1536 1792 2048 2560 3072 3584 4096 5000")
  lu.assertEquals(plan.limits(model, gfx90a.fp32, { slots = 1536 }).buckets, nil)
end

local function parts_of(path, target, context, change)
  return plan.limits(chain.model(path, change), target, { slots = 1, context = context }).parts
end

-- Up to 1024 positions are one part. More positions have parts of about 1024, at most 16 of them. A context of 1025
-- holds 1056 positions; a half of that, 528, needs five rounds of four waves with 32 positions each.
function TestLimits.test_parts()
  for context, want in pairs {
    [1] = false, [1024] = false, [1025] = { count = 2, positions = 640 }, [2048] = { count = 2, positions = 1024 },
    [4096] = { count = 4, positions = 1024 }, [131072] = { count = 16, positions = 8192 },
  } do
    lu.assertEquals(parts_of(chain.GPT_OSS_20B, gfx90a.mixed, context) or false, want, context)
  end
  lu.assertNil(parts_of(chain.GPT_OSS_20B, gfx90a.fp32, 131072))
  lu.assertNil(parts_of(chain.GPT_OSS_20B, cpu, 131072))
end

-- Each part begins a round of the waves. The longest sequence reaches the last part and fits into all of them.
function TestLimits.test_parts_of_any_context()
  for context = 1025, 131072, 61 do
    local cut = parts_of(chain.GPT_OSS_20B, gfx90a.mixed, context)
    lu.assertTrue(cut.count >= 2 and cut.count <= 16 and cut.positions % 128 == 0, context)
    lu.assertTrue((cut.count - 1) * cut.positions < context and cut.count * cut.positions >= context, context)
  end
end

-- The keys of a window are not divided into parts.
function TestLimits.test_parts_without_a_full_layer()
  local function sliding(c)
    for i in ipairs(c.layer_types) do c.layer_types[i] = "sliding_attention" end
  end
  lu.assertNil(parts_of(chain.GPT_OSS_20B, gfx90a.mixed, 131072, sliding))
end

-- The largest plan: the buffer of the parts has more bytes than 32 bits can count.
function TestLimits.test_parts_in_the_arena()
  local function bytes(slots, context)
    local stages = chain.run(chain.GPT_OSS_20B, nil, { target = chain.roomy(gfx90a.mixed), slots = slots,
      context = context })
    for _, buffer in ipairs(stages.plan.buffers) do
      if buffer.name == "BUF_PARTS" then return buffer.bytes, buffer.from, buffer.to end
    end
    return nil
  end
  lu.assertEquals({ bytes(1, 1024) }, {})
  lu.assertEquals({ bytes(1, 1025) }, { 128 * 2 * 64 * (64 + 2) * 4, "attn_full", "attn_merge" })
  lu.assertEquals({ bytes(65536, 131072) }, { 65536 * 16 * 64 * (64 + 2) * 4, "attn_full", "attn_merge" })
end

TestArena = {}

-- The steps of the longest pass, in the order in which they run. Those for whole logits and draws run again for each
-- piece of the outputs.
local function executed(built)
  local steps = table.move(built.list, 1, #built.list, 1, {})
  for _, op in ipairs(built.list) do
    if op.when == "logits" or op.when == "sampled" then steps[#steps + 1] = op end
  end
  return steps
end

-- The sets of buffers that live at each step, got backwards: the buffers that the step names, and those that a later
-- step reads before any step writes them.
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

-- The same for threads that do not wait before the steps of `joins`: while some are in such a step, others are still in
-- the step before it. The set of a joined step has the buffers of all steps that it is joined to.
local function joined_sets(list, joins)
  local sets = live_sets(list)
  for step = 2, #list do
    for name in pairs(joins and joins[list[step].role] and sets[step - 1] or {}) do sets[step][name] = true end
  end
  return sets
end

-- No two buffers that live at a step overlap -> the bytes of the largest set.
local function assert_apart(stages)
  local placed, largest = {}, 0
  for _, buffer in ipairs(stages.plan.buffers) do placed[buffer.name] = buffer end
  for _, set in ipairs(joined_sets(executed(stages.ops), stages.target.joins)) do
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
  for _, target in ipairs { cpu, chain.roomy(gfx90a.fp32), chain.roomy(gfx90a.mixed) } do
    for _, path in ipairs(chain.configs()) do
      for _, slots in ipairs { 1, 1000 } do
        local stages = chain.run(path, nil, { slots = slots, target = target })
        local largest, slack = assert_apart(stages), 256 * #stages.plan.buffers
        lu.assertTrue(stages.plan.arena_bytes <= largest * 5 // 4 + slack,
          string.format("%s: arena %d, largest live set %d", path, stages.plan.arena_bytes, largest))
      end
    end
  end
end

-- The second piece of the outputs needs the rows, after the first has drawn from its logits.
function TestArena.test_pieces_of_the_logits()
  local stages = chain.run("tests/models/abacus/config.json", nil, { target = gfx90a.mixed })
  local sets = live_sets(executed(stages.ops))
  local all = { h = true, logits = true, sums = true }
  lu.assertEquals(sets[#sets - 3], all)
  local placed = {}
  for _, buffer in ipairs(stages.plan.buffers) do placed[buffer.name] = buffer end
  lu.assertEquals({ placed.BUF_H.from, placed.BUF_H.to }, { "embed", "draw" })
  lu.assertEquals({ placed.BUF_SUMS.from, placed.BUF_SUMS.to }, { "unembed", "draw" })
end

-- A chain of 20 ops on some of 8 buffers, after ops that write each buffer once; and a cpu target that joins some of
-- them to the op before. next(n) gives numbers from 0 to n - 1.
local function random_ops(next)
  local built, joins = { list = {}, buffers = {} }, {}
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
    joins["op" .. i] = next(3) == 0 or nil
  end
  return built, setmetatable({ joins = joins }, { __index = cpu })
end

function TestArena.test_random_ops()
  local state = 1
  local function next(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n
  end
  local model = chain.model(chain.GPT_OSS_20B)
  local given = { slots = 1, context = 1, rows = 3, chunk = 1, logits = 3 }
  for _ = 1, 300 do
    local built, target = random_ops(next)
    local result = plan.arena(built, model, given, target)
    assert_apart { ops = built, plan = result, target = target }
    plan.check(result, { mapped_bytes = 0, packed_bytes = 0, totals = {} }, target)
  end
end

-- The logits and the rows they are made from are the largest live set: 128 of each.
function TestArena.test_gpt_oss_20b()
  local stages = chain.run(chain.GPT_OSS_20B)
  lu.assertEquals(stages.plan.arena_bytes, 128 * (201088 + 2880) * 4)
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

-- On cpu no thread waits between moe_combine and norm_attn, nor from norm_mlp to router_topk: what one of these steps
-- reads may not lie where another writes.
function TestArena.test_steps_that_are_joined()
  for _, path in ipairs(chain.configs()) do
    local at = {}
    for _, buffer in ipairs(chain.run(path).plan.buffers) do at[buffer.name] = buffer end
    local function apart(one, other)
      local a, b = at[one], at[other]
      lu.assertTrue(a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset,
        string.format("%s: %s and %s", path, one, other))
    end
    for _, name in ipairs { "BUF_DOWN", "BUF_EXPERT_WEIGHT", "BUF_ROUTER", "BUF_EXPERT" } do apart("BUF_H", name) end
    apart("BUF_ROUTER", "BUF_EXPERT")
    apart("BUF_ROUTER", "BUF_EXPERT_WEIGHT")
  end
end

TestKv = {}

local function kv(path, context, slots, change)
  return chain.run(path, change, { context = context, slots = slots }).plan.kv
end

-- The bytes of a slot in MB, without the chunks that the sliding layers add, halved because a float is twice a BF16.
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
  lu.assertEquals(kv(chain.GPT_OSS_20B, 255).sliding_positions, 256) -- whole blocks of 16
  lu.assertEquals(kv(chain.GPT_OSS_20B, 100).sliding_positions, 112)
  lu.assertEquals(kv("tests/models/odd_one_expert/config.json").sliding_positions, 1 + 128 + 15)
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
  lu.assertEquals({ full.sliding, full.full, full.bytes }, { 0, 2, 2 * 304 * 2 * (2 * 32) * 4 })
  local sliding = kv("tests/models/odd_all_experts/config.json", 300, 1)
  lu.assertEquals({ sliding.sliding, sliding.full, sliding.bytes }, { 3, 0, 3 * 144 * 2 * (3 * 48) * 4 })
end

TestMemory = {}

-- The record of 128 rows: 8 counts, 5 numbers per row, and the end of the last group.
local ROWS_BYTES <const> = (8 + 5 * 128 + 1) * 4

local function account_of(stages) return plan.memory(stages.plan, stages.weights, stages.target) end

-- "what: where bytes" for each item.
local function item_lines(account)
  local lines = {}
  for i, item in ipairs(account.items) do
    lines[i] = string.format("%s: %s %d", item.what, item.where, item.bytes)
  end
  return lines
end

-- 20,914,757,184 parameters, 19,110,297,600 of them in expert matrices; 32 slots. The bytes of every tensor are a
-- multiple of 64.
function TestMemory.test_gpt_oss_20b_on_gfx90a()
  local stages = chain.run(chain.GPT_OSS_20B, nil, { target = gfx90a.fp32, context = 1024 })
  local account = account_of(stages)
  lu.assertEquals(item_lines(account), {
    "weights packed, F32: packed " .. 4 * 1804459584, "weights packed, BF16: packed " .. 2 * 19110297600,
    "KV cache: device " .. 32 * 12 * (256 + 1024) * 2 * 512 * 4, "arena: device " .. 128 * (201088 + 2880) * 4,
    "RoPE cos and sin: device " .. 1024 * 32 * 2 * 4, "rows: device " .. ROWS_BYTES,
    "rows of two passes on the host: host " .. 2 * ROWS_BYTES, "logits on the host: host " .. 128 * 201088 * 4,
    "staging on the host: host " .. 2 * 16777216,
  })
  local weights = account.items[1].bytes + account.items[2].bytes
  lu.assertEquals(string.format("%.1f", weights / 2^30), "42.3")
  lu.assertEquals(account.device_bytes, weights + 2013265920 + 104431616 + 262144 + 2596)
  lu.assertEquals(account.host_bytes, 5192 + 102957056 + 33554432)
  lu.assertEquals(account.limit, 68698000000)
end

function TestMemory.test_abacus_on_cpu()
  local account = account_of(chain.run("tests/models/abacus/config.json"))
  local what = {}
  for i, item in ipairs(account.items) do what[i] = item.what end
  lu.assertEquals(table.concat(what, "; "), "weights read in place, BF16; weights packed, F32; "
    .. "weights packed, BF16; weights packed, MXFP4; KV cache; arena; RoPE cos and sin; rows; "
    .. "rows of two passes on the host; logits on the host")
  lu.assertEquals(account.limit, nil)
end

-- For every model, the totals of the weights add up to all weights.
function TestMemory.test_totals_of_the_weights()
  for _, path in ipairs(chain.configs()) do
    local stages = chain.run(path)
    local sums = { mapped = 0, packed = 0 }
    for _, total in ipairs(stages.weights.totals) do sums[total.where] = sums[total.where] + total.bytes end
    lu.assertEquals(sums, { mapped = stages.weights.mapped_bytes, packed = stages.weights.packed_bytes }, path)
  end
end

TestCheck = {}

-- The cpu target with a bound on its memory.
local function small(memory) return setmetatable({ name = "small", memory = memory }, { __index = cpu }) end

local function assert_refused(message, change, memory)
  local stages = chain.run("tests/models/abacus/config.json")
  local buffers = {}
  for _, buffer in ipairs(stages.plan.buffers) do buffers[buffer.name] = buffer end
  change(buffers, stages.plan)
  chain.refused(message, plan.check, stages.plan, stages.weights, small(memory))
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

-- Weights, KV cache, arena, RoPE and row record of abacus with its defaults. The device lacks one byte.
function TestCheck.test_memory()
  local bf16 = 4 * (768 * 192 + 192 * 512 + 16 * 192) * 2 + 1024 * 192 * 2
  local mxfp4 = 4 * 8 * (16 * (24 * 64 + 128) + 12 * (16 * 64 + 64)) -- experts; panels of words and of padded scales
  local total = 1024 * 192 * 2 + 80128 + bf16 + mxfp4 + 22020096 + 753664 + 512 * 64 * 4 + (8 + 5 * 128 + 1) * 4
  local items = "(KV cache: 22,020,096; weights packed, BF16: 2,383,872; weights packed, MXFP4: 1,269,760)"
  assert_refused("small: want a plan of at most 27,034,403 bytes, got 27,034,404 " .. items
    .. ": lower --slots or --context", function() end, total - 1)
  local weights = 1024 * 192 * 2 + 80128 + bf16 + mxfp4
  assert_refused("small: want a plan of at most 4,126,976 bytes, got 27,034,404 " .. items
    .. ": lower --slots or --context", function() end, weights)
  assert_refused("small: want a plan of at most 4,126,975 bytes, got 27,034,404 " .. items
    .. ": the weights alone do not fit: give a smaller model, or a --target with more memory",
    function() end, weights - 1)
  local stages = chain.run("tests/models/abacus/config.json")
  plan.check(stages.plan, stages.weights, small(total))
end

-- 116,829,156,672 parameters, 114,661,785,600 of them in expert matrices: 221.6 GiB.
function TestCheck.test_gpt_oss_120b_on_gfx90a()
  local experts, others = 2 * 114661785600, 4 * (116829156672 - 114661785600)
  lu.assertEquals({ experts, others }, { 229323571200, 8669484288 })
  lu.assertEquals(string.format("%.1f", (experts + others) / 2^30), "221.6")
  chain.refused("gfx90a: want a plan of at most 68,698,000,000 bytes, got 238,192,123,684 (weights packed, BF16: "
    .. "229,323,571,200; weights packed, F32: 8,669,484,288; arena: 104,431,616): the weights alone do not fit: "
    .. "give a smaller model, or a --target with more memory", chain.run, chain.GPT_OSS_120B, nil,
    { target = gfx90a.fp32, slots = 1, context = 1024 })
end

os.exit(lu.LuaUnit.run())
