-- Precision mixed on gfx90a and sm_90 (gen/precision/mixed.lua, gen/ops_fused.lua, templates/mixed): weights in tiles,
-- the fused ops and their refusals, kernels and their tilings, memory, and the text of every model's tree.
-- luacheck: globals TestWeights TestOps TestRefusals TestBuffers TestKernels TestTilings TestMemory TestSchedule
-- luacheck: globals TestTrees TestTemplates
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local gfx90a = require("gen.target.gfx90a").mixed
local lu = require "luaunit"
local ops = require "gen.ops"
local plan = require "gen.plan"
local sm_90 = require("gen.target.sm_90").mixed
local template = require "gen.template"
local weights = require "gen.weights"

local TARGETS <const> = { chain.roomy(gfx90a), chain.roomy(sm_90) }
local ABACUS <const> = "tests/models/abacus/config.json"

local function run(path, change, given)
  given = given or {}
  given.target = given.target or TARGETS[1]
  return chain.run(path, change, given)
end

local function of_tests(name) return "tests/models/" .. name .. "/config.json" end

local function each(f) chain.each(TARGETS, f) end

TestWeights = {}

-- { [symbol] = bytes } of some tensors
local function assert_bytes(path, want)
  local of, got = run(path).weights.of, {}
  for symbol in pairs(want) do got[symbol] = of[symbol].bytes end
  lu.assertEquals(got, want, path)
end

-- A tile of 16 features has 64 bytes of scales. It then has 2048 bytes of halves per kblock of 64 columns, or 544 bytes
-- of MXFP4 (512 of codes, 32 of scales). 2880 columns are 45 kblocks, 4096 are 64.
function TestWeights.test_tiles_of_gpt_oss()
  local halves, mxfp4 <const> = 64 + 45 * 2048, 64 + 45 * 544
  lu.assertEquals({ halves, mxfp4 }, { 92224, 24544 })
  for path, experts in pairs { [chain.GPT_OSS_20B] = 32, [chain.GPT_OSS_120B] = 128 } do
    assert_bytes(path, {
      W_UNEMBED = 12568 * halves, W_00_Q = 256 * halves, W_00_K = 32 * halves, W_00_V = 32 * halves,
      W_00_O = 180 * (64 + 64 * 2048), W_00_GATE_UP = experts * 360 * mxfp4, W_00_DOWN = experts * 180 * mxfp4,
      W_EMBED = 201088 * 2880 * 2, W_00_ROUTER = experts * 2880 * 2, W_00_GATE_UP_BIAS = experts * 5760 * 4,
    })
  end
end

-- Features fill no whole tile, columns no whole kblock; the features of each expert are padded on their own.
function TestWeights.test_tiles_of_odd_shapes()
  local one, two = 64 + 2048, 64 + 2 * 2048
  assert_bytes(of_tests "odd_f32", { -- 32 wide, 5 heads of 24, 79 ids, 3 experts of 64
    W_00_Q = 8 * one, W_00_K = 8 * one, W_00_O = 2 * two, W_UNEMBED = 5 * one,
    W_01_GATE_UP = 3 * 8 * one, W_01_DOWN = 3 * 2 * one, W_EMBED = 79 * 32 * 4, W_01_ROUTER = 3 * 32 * 4,
  })
  assert_bytes(of_tests "rand_bf16", { -- 160 wide, 8 heads and 1 of 64, 384 ids, 4 experts of 224
    W_00_Q = 32 * (64 + 3 * 2048), W_00_K = 4 * (64 + 3 * 2048), W_00_O = 10 * (64 + 8 * 2048),
    W_01_GATE_UP = 4 * 28 * (64 + 3 * 2048), W_01_DOWN = 4 * 10 * (64 + 4 * 2048), W_UNEMBED = 24 * (64 + 3 * 2048),
  })
  assert_bytes(of_tests "rand_mxfp4", { -- 128 wide, 5 experts of 96
    W_00_GATE_UP = 5 * 12 * (64 + 2 * 544), W_00_DOWN = 5 * 8 * (64 + 2 * 544),
  })
  assert_bytes(of_tests "odd_one_expert", { W_00_Q = 3 * one, W_00_K = one, W_UNEMBED = 4 * one,
    W_00_GATE_UP = 8 * (64 + 544), W_00_DOWN = 2 * (64 + 544) })
end

-- All of gpt-oss-20b: 24 layers of the tensors above, tables in BF16, vectors in F32.
function TestWeights.test_parts_of_20b()
  local list = run(chain.GPT_OSS_20B).weights
  local vectors = 2880 + 24 * (2 * 2880 + 5120 + 2880 + 64 + 32 + 32 * (5760 + 2880))
  lu.assertEquals(list.totals, {
    { where = "packed", stored = "BF16", bytes = 2 * (201088 * 2880 + 24 * 32 * 2880) },
    { where = "packed", stored = "F32", bytes = 4 * vectors },
    { where = "packed", stored = "F16", bytes = 12568 * 92224 + 24 * (320 * 92224 + 180 * 131136) },
    { where = "packed", stored = "MXFP4", bytes = 24 * 32 * (360 + 180) * 24544 },
  })
  lu.assertEquals({ list.mapped_bytes, #list.tensors }, { 0, 459 - 24 * 2 })
end

-- The layout of MXFP4 that suits a GPU's instructions.
local CODES <const> = { gfx90a = "TILES", sm_90 = "WOVEN_TILES" }

-- What the config says of the expert matrices, and of the tables: { form, stored type, layout }.
local function expected(path, target)
  local text = chain.read(path)
  local packed = text:find('"quant_method": "mxfp4"', 1, true)
  local wide = (text:match('dtype": "(%w+)"') or "bfloat16") ~= "bfloat16"
  return packed and { "MXFP4", "MXFP4", CODES[target.name] } or { "TRANSPOSED", "F16", "TILES" },
    { "PLAIN", wide and "F32" or "BF16", "CONTIGUOUS" }
end

-- The same of other tensors by the last words of their symbols; all others are vectors.
local FORMS <const> = { Q = { "PLAIN", "F16", "PAIRED_TILES" }, K = { "PLAIN", "F16", "PAIRED_TILES" },
  V = { "PLAIN", "F16", "TILES" }, O = { "PLAIN", "F16", "TILES" }, UNEMBED = { "PLAIN", "F16", "TILES" },
  Q_BIAS = { "PLAIN", "F32", "PAIRS" }, K_BIAS = { "PLAIN", "F32", "PAIRS" } }

function TestWeights.test_sources_types_and_layouts()
  each(function(stages, path)
    local experts, tables = expected(path, stages.target)
    local own = { GATE_UP = experts, DOWN = experts, EMBED = tables, ROUTER = tables }
    for _, tensor in ipairs(stages.weights.tensors) do
      local what = tensor.symbol:gsub("^W_", ""):gsub("^%d+_", "")
      lu.assertEquals({ tensor.form, tensor.stored, tensor.layout },
        own[what] or FORMS[what] or { "PLAIN", "F32", "CONTIGUOUS" }, path .. ": " .. tensor.symbol)
    end
  end)
end

function TestWeights.test_sources_are_the_checkpoint()
  each(function(stages, path)
    lu.assertEquals(chain.in_checkpoint(stages.weights), chain.in_checkpoint(chain.run(path).weights), path)
  end)
end

-- q, k and v follow each other without a gap.
function TestWeights.test_offsets()
  each(function(stages, path)
    local of = stages.weights.of
    chain.assert_offsets(stages, path)
    for layer = 0, stages.model.n_layers - 1 do
      local q, k, v = of[("W_%02d_Q"):format(layer)], of[("W_%02d_K"):format(layer)], of[("W_%02d_V"):format(layer)]
      lu.assertEquals({ k.offset, v.offset }, { q.offset + q.bytes, q.offset + q.bytes + k.bytes }, path)
    end
  end)
end

TestOps = {}

local function lines(built, layer)
  local out = {}
  for _, op in ipairs(built.list) do
    if op.layer == layer then out[#out + 1] = (op.when and op.when .. ": " or "") .. chain.op_line(op) end
  end
  return out
end

function TestOps.test_a_sliding_layer()
  lu.assertEquals(lines(run(chain.GPT_OSS_20B).ops, 6), {
    "matmul_qkv(in=<h out=>q kv=KV_06 positions=KV_SLIDING_POSITIONS q=W_06_Q k=W_06_K v=W_06_V "
      .. "q_bias=W_06_Q_BIAS k_bias=W_06_K_BIAS v_bias=W_06_V_BIAS)",
    "attn_sliding(in=<q out=>attn kv=KV_06 sinks=W_06_SINKS)",
    "matmul_o(in=<attn out=>splits weight=W_06_O)",
    "norm_router(in=<splits x=*x out=>h expert=>expert expert_weight=>expert_weight arrived=*arrived "
      .. "logits=>router_logits weight=W_06_MLP_NORM router=W_06_ROUTER router_bias=W_06_ROUTER_BIAS bias=W_06_O_BIAS)",
    "moe_sort(expert=<expert pair=>pair work=>work)",
    "moe_gate_up(in=<h out=>gated expert=<expert pair=<pair work=<work weight=W_06_GATE_UP bias=W_06_GATE_UP_BIAS)",
    "moe_down(in=<gated out=>down expert=<expert pair=<pair work=<work weight=W_06_DOWN bias=W_06_DOWN_BIAS)",
    "moe_combine(in=<down expert_weight=<expert_weight x=*x out=>h weight=W_07_ATTN_NORM)",
  })
end

function TestOps.test_a_full_layer_differs_in_attention_only()
  local built = run(chain.GPT_OSS_20B, nil, { context = 1024 }).ops
  local sliding, full, differ = lines(built, 6), lines(built, 7), {}
  for i, text in ipairs(sliding) do
    if text:gsub("_07", "_08"):gsub("_06", "_07") ~= full[i] then differ[#differ + 1] = full[i]:gsub(" q=.*", "") end
  end
  lu.assertEquals(differ, { "matmul_qkv(in=<h out=>q kv=KV_07 positions=KV_FULL_POSITIONS",
    "attn_full(in=<q out=>attn kv=KV_07 sinks=W_07_SINKS)" })
end

-- With a long context a full layer has one more step; a sliding layer does not change.
function TestOps.test_a_full_layer_in_parts()
  local short = run(chain.GPT_OSS_20B, nil, { context = 1024 }).ops
  local long = run(chain.GPT_OSS_20B, nil, { context = 1025 }).ops
  lu.assertEquals(lines(long, 6), lines(short, 6))
  local want = lines(short, 7)
  want[2] = "attn_full(in=<q out=>parts kv=KV_07)"
  table.insert(want, 3, "attn_merge(in=<parts out=>attn sinks=W_07_SINKS)")
  lu.assertEquals(lines(long, 7), want)
  lu.assertEquals(#long.list, #short.list + 12)
end

-- The norm after the last layer is the model's. The head comes in three forms.
function TestOps.test_ends()
  local built = run(ABACUS).ops
  lu.assertEquals(lines(built, 3)[8],
    "moe_combine(in=<down expert_weight=<expert_weight x=*x out=>h weight=W_NORM)")
  lu.assertEquals(lines(built, nil), {
    "embed(x=>x out=>h arrived=>arrived table=W_EMBED weight=W_00_ATTN_NORM)",
    "greedy: unembed_best(in=<h out=>best weight=W_UNEMBED)", "greedy: pick_best(in=<best)",
    "logits: unembed(in=<h out=>logits weight=W_UNEMBED)", "sampled: vocab_sums(in=<logits out=>sums)",
    "sampled: draw(in=<logits sums=<sums)",
  })
  lu.assertEquals({ #built.list, built.list[1].role }, { 1 + 4 * 8 + 5, "embed" })
end

function TestOps.test_no_attention_bias()
  local built = run(chain.GPT_OSS_20B, function(c) c.attention_bias = false end).ops
  local text = table.concat(lines(built, 0), "\n")
  lu.assertStrContains(text, "q=W_00_Q k=W_00_K v=W_00_V)\n")
  lu.assertStrContains(text, "router_bias=W_00_ROUTER_BIAS)\n")
  lu.assertStrContains(text, "matmul_o(in=<attn out=>splits weight=W_00_O)\n")
end

function TestOps.test_layers_beyond_99()
  local stages = run(ABACUS, function(c)
    c.num_hidden_layers = 101
    for i = 1, 101 do c.layer_types[i] = "full_attention" end
  end)
  lu.assertEquals(lines(stages.ops, 99)[8]:match("weight=(W_[%w_]+)%)"), "W_100_ATTN_NORM")
  lu.assertEquals(lines(stages.ops, 100)[2], "attn_full(in=<q out=>attn kv=KV_100 sinks=W_100_SINKS)")
end

-- matmul_qkv reads q, k and v as one matrix. The gate of the ops refuses weights that do not lie so.
function TestOps.test_weights_that_lie_apart()
  for symbol, pair in pairs { W_02_K = "W_02_Q and W_02_K", W_02_V = "W_02_K and W_02_V" } do
    local model = chain.model(ABACUS)
    local list, built = weights.list(model, gfx90a), ops.build(model, gfx90a, plan.limits(model, gfx90a, {}))
    ops.check(built, list)
    list.of[symbol].offset = list.of[symbol].offset + 64
    chain.refused(pair .. " lie apart", ops.check, built, list)
  end
end

function TestOps.test_a_norm_that_is_no_tensor()
  local stages = run(ABACUS)
  stages.weights.of.W_03_ATTN_NORM = nil
  chain.refused("moe_combine: W_03_ATTN_NORM is no tensor", ops.check, stages.ops, stages.weights)
end

TestRefusals = {}

local function heads(n, n_kv) return function(c) c.num_attention_heads, c.num_key_value_heads = n, n_kv end end

-- The query heads of a KV head are the columns of one matrix instruction.
function TestRefusals.test_heads()
  for _, target in ipairs(TARGETS) do
    local given = { target = target }
    chain.refused("precision mixed: want at most 16 query heads per KV head, got 17", chain.run, ABACUS, heads(34, 2),
      given)
    chain.refused("precision mixed: want at most 16 query heads per KV head, got 64", chain.run, ABACUS, heads(64, 1),
      given)
    lu.assertEquals(chain.run(ABACUS, heads(32, 2), given).model.n_heads, 32)
  end
end

function TestRefusals.test_head_dim()
  for _, d_head in ipairs { 18, 20, 36, 60, 250 } do
    chain.refused("precision mixed: want a head_dim that is a multiple of 8, got " .. d_head, chain.run, ABACUS,
      function(c) c.head_dim = d_head end, { target = TARGETS[1] })
  end
  for _, d_head in ipairs { 16, 24, 200, 256 } do
    lu.assertEquals(run(ABACUS, function(c) c.head_dim = d_head end).model.d_head, d_head)
  end
end

TestBuffers = {}

local function sizes(path, context)
  local out = {}
  for i, buffer in ipairs(run(path, nil, { context = context }).ops.buffers) do
    out[i] = string.format("%s %s %s %s", buffer.name, buffer.per, buffer.count or buffer.count_of, buffer.dtype)
  end
  return out
end

-- 201,088 ids are 12,568 tiles and 3,142 entries of four tiles, each a value and an id. A draw sums 786 segments of 256
-- ids; the first and the last kept token go before them.
function TestBuffers.test_gpt_oss_20b()
  local want = {
    "x row 2880 F32", "h row 2880 F16", "q row 4096 F16", "attn row 4096 F16", "splits row 5760 F32",
    "router_logits row 32 F32", "arrived row 1 I32", "expert row 4 I32", "expert_weight row 4 F32", "pair row 4 I32",
    "work pass work_numbers I32",
    "gated row 11520 F16", "down row 11520 F32", "best output 6284 F32", "logits logits 201088 F32",
    "sums logits 788 I64",
  }
  lu.assertEquals(sizes(chain.GPT_OSS_20B, 1024), want)
  want[#want + 1] = "parts row 16896 F32" -- 4 of 64 heads of 64 numbers and 2
  lu.assertEquals(sizes(chain.GPT_OSS_20B, 4096), want)
end

-- 32 columns in a kblock of 64, 4 heads of 80 elements in spans of 32, 3 of 5 experts, 113 ids in 8 tiles, one split.
function TestBuffers.test_odd_shapes()
  lu.assertEquals(sizes(of_tests "odd_sharded"), {
    "x row 32 F32", "h row 64 F16", "q row 384 F16", "attn row 320 F16", "splits row 32 F32",
    "router_logits row 5 F32", "arrived row 1 I32", "expert row 3 I32", "expert_weight row 3 F32", "pair row 3 I32",
    "work pass work_numbers I32",
    "gated row 192 F16", "down row 96 F32", "best output 4 F32", "logits logits 113 F32", "sums logits 3 I64",
  })
end

-- The attention's output has two equal splits of K, in whole kblocks, if K has at least 16 kblocks.
function TestBuffers.test_splits_of_k()
  local function splits(n_heads) -- of 64
    return gfx90a.splits(chain.model(ABACUS, heads(n_heads, n_heads)))
  end
  lu.assertEquals({ splits(8), splits(15), splits(16), splits(17), splits(18), splits(64) }, { 1, 1, 2, 1, 2, 2 })
end

-- The arena has room for the number of work items and three numbers per item, for the pass with the most items: as
-- many experts as possible have one pair, and the other pairs fill whole items. An item has up to 64 pairs in passes of
-- up to 256 rows, and up to 128 in larger ones. An expert has at most one pair with each row.
function TestBuffers.test_work_items()
  for path, of in pairs { [chain.GPT_OSS_20B] = { 32, 4 }, [of_tests "odd_one_expert"] = { 1, 1 },
    [of_tests "odd_all_experts"] = { 6, 6 }, [of_tests "odd_128_experts"] = { 128, 4 } } do
    local experts, top = table.unpack(of)
    for _, slots in ipairs { 1, 129, 1000, 1536 } do
      local stages = run(path, nil, { slots = slots })
      local function items(rows, height)
        local hit = math.min(experts, rows * top)
        return hit + (rows > height and (rows * top - hit) // height or 0)
      end
      local rows = math.max(slots, 128)
      local most = math.max(items(math.min(rows, 256), 64), rows > 256 and items(rows, 128) or 0)
      for _, buffer in ipairs(stages.plan.buffers) do
        if buffer.name == "BUF_WORK" then
          lu.assertEquals(buffer.bytes, 4 * (1 + 3 * most), path .. ": " .. slots)
        end
      end
    end
  end
  lu.assertEquals({ gfx90a.work_numbers(chain.model(chain.GPT_OSS_20B), 1),
    gfx90a.work_numbers(chain.model(chain.GPT_OSS_20B), 1536) }, { 1 + 3 * 4, 1 + 3 * (32 + (4 * 1536 - 32) // 128) })
  -- items of sm_90 have 64 pairs
  lu.assertEquals({ sm_90.work_numbers(chain.model(chain.GPT_OSS_20B), 1),
    sm_90.work_numbers(chain.model(chain.GPT_OSS_20B), 1536) }, { 1 + 3 * 4, 1 + 3 * (32 + (4 * 1536 - 32) // 64) })
end

TestKernels = {}

local function symbols(stages) return chain.symbols(stages, "") end

local GPT_OSS_20B <const> = {
  embed = "f16_bf16w_embed_norm_k2880",
  matmul_qkv = "f16_f16w_matmul_qkv_rope_append_n5120_k2880",
  attn_sliding = "f16_attn_sliding_h64_g8_d64_w128",
  attn_full = "f16_attn_full_h64_g8_d64",
  matmul_o = "f16_f16w_matmul_o_split_n2880_k4096",
  norm_router = "f32_bf16w_norm_router_residual_topk_k2880_e32_top4",
  moe_sort = "i32_moe_sort_e32_top4",
  moe_gate_up = "f16_mf4w_moe_gate_up_swiglu_n5760_k2880_e32_top4",
  moe_down = "f16_mf4w_moe_down_n2880_k2880_e32_top4",
  moe_combine = "f32_moe_combine_norm_n2880_top4",
  unembed_best = "f16_f16w_unembed_best_n201088_k2880",
  pick_best = "f32_pick_best_n3142",
  unembed = "f16_f16w_unembed_n201088_k2880",
  vocab_sums = "f32_vocab_sums_n201088",
  draw = "f32_draw_n201088",
}

function TestKernels.test_symbols_of_gpt_oss()
  local large = {}
  for role, symbol in pairs(GPT_OSS_20B) do large[role] = symbol:gsub("_e32_", "_e128_") end
  for _, target in ipairs(TARGETS) do
    lu.assertEquals(symbols(run(chain.GPT_OSS_20B, nil, { target = target, context = 1024 })), GPT_OSS_20B)
    lu.assertEquals(symbols(run(chain.GPT_OSS_120B, nil, { target = target, context = 1024 })), large)
  end
end

-- Attention in parts is another kernel and has a name of its own, since figures are listed by name.
function TestKernels.test_symbols_of_long_contexts()
  for _, target in ipairs(TARGETS) do
    local want = setmetatable({ attn_full = "f16_attn_full_parts_h64_g8_d64", attn_merge = "f32_attn_merge_h64_d64" },
      { __index = GPT_OSS_20B })
    local got = symbols(run(chain.GPT_OSS_20B, nil, { target = target, context = 131072 }))
    for role, symbol in pairs(got) do lu.assertEquals(symbol, want[role]) end
    lu.assertEquals({ got.attn_full, got.attn_merge }, { want.attn_full, want.attn_merge })
  end
end

function TestKernels.test_symbols_of_other_types()
  local bf16 = symbols(run(of_tests "rand_bf16"))
  lu.assertEquals({ bf16.embed, bf16.moe_gate_up, bf16.moe_down }, { "f16_bf16w_embed_norm_k160",
    "f16_f16w_moe_gate_up_swiglu_n448_k160_e4_top1", "f16_f16w_moe_down_n160_k224_e4_top1" })
  for _, name in ipairs { "odd_f32", "odd_f16" } do
    local wide = symbols(run(of_tests(name)))
    lu.assertStrMatches(wide.embed, "f16_f32w_embed_.*")
    lu.assertStrMatches(wide.norm_router, "f32_f32w_norm_router_.*")
    lu.assertStrMatches(wide.moe_down, "f16_f16w_moe_down_.*")
  end
end

function TestKernels.test_order_of_first_use()
  local roles = {}
  for i, kernel in ipairs(run(of_tests "odd_default_rope").kernels.list) do roles[i] = kernel.role end
  lu.assertEquals(table.concat(roles, " "), "embed matmul_qkv attn_full attn_merge matmul_o norm_router moe_sort "
    .. "moe_gate_up moe_down moe_combine attn_sliding unembed_best pick_best unembed vocab_sums draw")
end

function TestKernels.test_prototypes()
  local of = run(chain.GPT_OSS_20B).kernels.of
  lu.assertEquals(of.matmul_qkv.prototype, "void launch_matmul_qkv(const struct pass *pass, size_t in, size_t out, "
    .. "size_t kv, int positions, enum weight q,\n    enum weight k, enum weight v, enum weight q_bias, "
    .. "enum weight k_bias, enum weight v_bias)")
  lu.assertEquals(of.pick_best.prototype, "void launch_pick_best(const struct pass *pass, size_t in)")
end

-- In a pass for greedy ids, and in one for whole logits, every weight byte belongs to exactly one step.
function TestKernels.test_weight_bytes()
  each(function(stages, path)
    local tensors, sums = 0, { greedy = 0, logits = 0 }
    for _, tensor in ipairs(stages.weights.tensors) do tensors = tensors + tensor.bytes end
    for _, op in ipairs(stages.ops.list) do
      for when, sum in pairs(sums) do
        if not op.when or op.when == when then sums[when] = sum + stages.kernels.of[op.role].weight_bytes end
      end
    end
    lu.assertEquals(sums, { greedy = tensors, logits = tensors }, path)
  end)
end

-- The published count of active parameters: those of matrices cost two operations each; see test_select.lua.
local function assert_active(path, n_layers, n_experts, active)
  local stages, flops = run(path), 0
  local products = { matmul_qkv = 1, matmul_o = 1, norm_router = 1, moe_gate_up = 1, moe_down = 1, unembed_best = 1 }
  for _, op in ipairs(stages.ops.list) do
    if products[op.role] then flops = flops + stages.kernels.of[op.role].flops end
  end
  local vectors = 2 * 2880 + 5120 + 2880 + n_experts + 64 + 4 * (5760 + 2880)
  lu.assertEquals(flops // 2 + n_layers * vectors + 2880, active)
end

function TestKernels.test_published_active_parameters()
  assert_active(chain.GPT_OSS_20B, 24, 32, 3608307264)
  assert_active(chain.GPT_OSS_120B, 36, 128, 5132849472)
end

-- The greatest gated activation, 7 * 8, times 2^9 stays below 2^15; a power of two undoes it.
function TestKernels.test_scale_of_gated_activations()
  local function scales(limit)
    local of = run(chain.GPT_OSS_20B, function(c) c.swiglu_limit = limit end).kernels.of
    return { of.moe_gate_up.parameters.scale, of.moe_down.parameters.scale }
  end
  lu.assertEquals(scales(7.0), { "512.0f", "0.001953125f" })
  lu.assertEquals(scales(180.0), { "1.0f", "1.0f" }) -- 180 * 181 = 32580
end

TestTilings = {}

-- The numbers of a tiling's C++ type, in order; see runtime/target/mixed/tiling.h and sm_90/staged.h.
local NUMBERS <const> = {
  staged = { "weights", "tokens", "split", "waves", "ring" },
  direct = { "weights", "tokens", "weights_ahead", "tokens_ahead", "waves" },
  streamed = { "capacity", "round", "ring" },
}

-- "staged<4, 8, 1, 4, 2>" -> { kind = "staged", weights = 4, tokens = 8, split = 1, waves = 4, ring = 2 }
local function parse(text)
  local kind, numbers = text:match("^(%l+)<(.*)>$")
  local tiling, i = { kind = kind }, 0
  for number in numbers:gmatch("%d+") do
    i = i + 1
    tiling[NUMBERS[kind][i]] = math.tointeger(number)
  end
  lu.assertEquals(i, #NUMBERS[kind], text)
  return tiling
end

-- Tiles of weights and tokens of a block.
local function block_of(text)
  local t = parse(text)
  if t.kind == "streamed" then return 1, t.capacity end
  if t.kind == "staged" then return t.waves // t.split * t.weights, t.tokens * t.split * 16 end
  return t.waves * t.weights, t.tokens * 16
end

-- All tilings of a kernel, the last of them without a bound.
local function tilings_of(kernel)
  local list = table.move(kernel.parameters.tilings or {}, 1, #(kernel.parameters.tilings or {}), 1, {})
  list[#list + 1] = kernel.parameters.largest
  return list
end

-- Each tiling serves more rows than the one before it, the last one all other passes.
function TestTilings.test_every_pass_has_one()
  each(function(stages, path)
    for _, kernel in ipairs(stages.kernels.list) do
      local last, list = 0, tilings_of(kernel)
      for i, tiling in ipairs(list) do
        lu.assertEquals(tiling.upto == nil, i == #list, path .. ": " .. kernel.role)
        lu.assertTrue((tiling.upto or last + 1) > last, path .. ": " .. kernel.role)
        last = tiling.upto
      end
    end
  end)
end

-- Every tiling of a kernel has a line in summary.txt with its reason, expert kernels one per height.
function TestTilings.test_reasons()
  local of = run(chain.GPT_OSS_20B).kernels.of
  local function reasons(role)
    local out = {}
    for i, tiling in ipairs(of[role].tilings) do
      out[i] = table.concat({ tiling.rows, tiling.type, tiling.because }, " | ")
    end
    return out
  end
  lu.assertEquals(reasons("matmul_o"), {
    "16 | direct<1, 1, 8, 8, 1> | few rows: many small blocks",
    "32 | direct<1, 2, 4, 2, 1> | few rows: many small blocks",
    "64 | staged<1, 4, 1, 4, 3> | cheapest of 6 forms at 64 rows: 90 blocks, up to 1 for a compute unit",
    "256 | staged<2, 4, 1, 4, 2> | cheapest of 6 forms at 256 rows: 180 blocks, up to 2 for a compute unit",
    "384 | staged<3, 8, 1, 4, 2> | cheapest of 6 forms at 384 rows: 90 blocks, up to 1 for a compute unit",
    "512 | staged<2, 8, 1, 4, 2> | cheapest of 6 forms at 512 rows: 180 blocks, up to 2 for a compute unit",
    "768 | staged<3, 8, 1, 4, 2> | cheapest of 6 forms at 768 rows: 180 blocks, up to 2 for a compute unit",
    "1024 | staged<4, 8, 1, 4, 2> | cheapest of 6 forms at 1024 rows: 184 blocks, up to 2 for a compute unit",
    "1536 | staged<3, 8, 1, 4, 2> | cheapest of 6 forms at 1536 rows: 360 blocks, up to 4 for a compute unit",
    "any | staged<4, 8, 1, 4, 2> | cheapest of 6 forms at 2048 rows: 368 blocks, up to 4 for a compute unit",
  })
  lu.assertEquals(reasons("moe_down"), {
    "1 | direct<1, 1, 3, 3, 1> | a single row: its experts in order, no work list",
    "16 | direct<1, 1, 5, 5, 1> | few rows: most experts have one pair, many small blocks",
    "256 | staged<3, 1, 1, 4, 2> | items of up to 16 pairs", "256 | staged<3, 2, 1, 4, 2> | items of up to 32 pairs",
    "256 | staged<3, 3, 1, 4, 2> | items of up to 48 pairs", "256 | staged<3, 4, 1, 4, 2> | items of up to 64 pairs",
    "any | staged<3, 1, 1, 4, 2> | items of up to 16 pairs", "any | staged<3, 2, 1, 4, 2> | items of up to 32 pairs",
    "any | staged<3, 3, 1, 4, 2> | items of up to 48 pairs", "any | staged<3, 4, 1, 4, 2> | items of up to 64 pairs",
    "any | staged<3, 5, 1, 4, 2> | items of up to 80 pairs", "any | staged<3, 6, 1, 4, 2> | items of up to 96 pairs",
    "any | staged<3, 7, 1, 4, 2> | items of up to 112 pairs", "any | staged<3, 8, 1, 4, 2> | items of up to 128 pairs",
  })
  lu.assertEquals(reasons("unembed")[1], "16 | direct<4, 1, 1, 1, 1> | vocabulary: always many tiles per wave")
  lu.assertEquals(reasons("embed"), {})
  local summary = chain.files(run(chain.GPT_OSS_20B))["summary.txt"]
  lu.assertStrContains(summary, "\ntilings: role | rows (unembed: outputs) up to | tiling | because\n"
    .. "matmul_qkv | 16 | direct<1, 1, 5, 5, 1> | few rows: many small blocks\n")
end

-- The most pairs of a work item: in passes of so many rows, in larger ones.
local ITEM <const> = { gfx90a = { 256, 64, 128 }, sm_90 = { 0, 64, 64 } }

-- Items of all heights are in one grid: a block has the same tiles of weights for each, and room for all pairs.
function TestTilings.test_heights_of_experts()
  each(function(stages, path)
    for _, role in ipairs { "moe_gate_up", "moe_down" } do
      for _, tiling in ipairs(tilings_of(stages.kernels.of[role])) do
        local tiles, last = block_of(tiling.type), 0
        for _, height in ipairs(tiling.heights) do
          local own, rows = block_of(height.type)
          lu.assertEquals(own, tiles, path .. ": " .. role .. ": " .. height.type)
          lu.assertTrue(height.upto > last and rows >= height.upto, path .. ": " .. role .. ": " .. height.type)
          last = height.upto
        end
        -- an expert has at most a pair of each row
        local rows, few, many = table.unpack(ITEM[stages.target.name])
        local upto = tiling.upto or math.maxinteger
        lu.assertEquals({ last, tiling.height }, { math.min(upto, upto <= rows and few or many), last },
          path .. ": " .. role)
        lu.assertEquals(tiling.single, tiling.upto == 1, path .. ": " .. role)
      end
    end
  end)
end

-- The argmax has an entry for the four tiles of a wave.
function TestTilings.test_four_tiles_an_entry()
  each(function(stages)
    for _, tiling in ipairs(tilings_of(stages.kernels.of.unembed_best)) do
      lu.assertEquals(parse(tiling.type).weights, stages.kernels.of.unembed_best.parameters.entry_tiles)
    end
  end)
end

-- The types of all tilings that a kernel names, each once.
local function types_of(kernel)
  local found = {}
  for _, tiling in ipairs(tilings_of(kernel)) do
    if tiling.type then found[tiling.type] = true end
    for _, height in ipairs(tiling.heights or {}) do found[height.type] = true end
  end
  return chain.sorted_names(found)
end

-- The kblocks of K that a wave of a kernel multiplies.
local function kblocks_of(kernel) return kernel.parameters.kblocks // (kernel.parameters.splits or 1) end

-- The product functions need whole rounds: the waves of a staged block divide its tokens evenly, and on sm_90 its
-- threads copy one octet of each token of a round (gfx90a copies what is left over, too); the other products need
-- kblocks in whole rounds. No block has more waves than the target allows.
function TestTilings.test_whole_rounds()
  each(function(stages, path)
    for _, kernel in ipairs(stages.kernels.list) do
      for _, text in ipairs(types_of(kernel)) do
        local t, kblocks = parse(text), kblocks_of(kernel)
        local lanes = stages.target.waves == 4 and 64 or 32
        local where = path .. ": " .. kernel.role .. ": " .. text
        if t.kind == "staged" then
          local left_over = t.tokens * t.split * 16 % (t.waves * lanes // 8)
          lu.assertEquals({ t.waves % t.split, lanes == 32 and left_over or 0 }, { 0, 0 }, where)
        elseif t.kind == "streamed" then
          lu.assertEquals(kblocks % t.round, 0, where)
          lu.assertTrue(t.capacity <= 16 and t.ring >= 2, where)
        else
          lu.assertEquals({ kblocks % t.weights_ahead, t.weights_ahead % t.tokens_ahead }, { 0, 0 }, where)
        end
        lu.assertTrue((t.waves or 1) <= stages.target.waves, where)
      end
    end
  end)
end

-- sm_90: for a single row, rings are as long as they can be if all warps of a launch are to run at a time on the 132
-- multiprocessors. A multiprocessor has 228 KiB; the system takes 1 KiB per block. Each role: { warps, kblocks of a
-- warp, bytes of a kblock of weights and of a token }.
local SINGLE <const> = { matmul_qkv = { 320, 45, 8 * (256 + 32) + 128 }, matmul_o = { 360, 32, 8 * (256 + 32) + 128 },
  moe_gate_up = { 4 * 360, 45, 4 * 128 + 80 + 32 + 128 }, moe_down = { 4 * 180, 45, 4 * 128 + 80 + 32 + 128 } }

function TestTilings.test_rings_of_a_single_row()
  local stages = run(chain.GPT_OSS_20B, nil, { target = sm_90 })
  for role, of in pairs(SINGLE) do
    local warps, kblocks, bytes = table.unpack(of)
    local t = parse(tilings_of(stages.kernels.of[role])[1].type)
    local here = math.ceil(warps / 132)
    lu.assertEquals({ t.kind, t.capacity }, { "streamed", 1 }, role)
    lu.assertTrue(here * (t.ring * t.round * bytes + 1024) <= 228 * 1024, role)
    lu.assertTrue(t.ring * t.round == kblocks or here * ((t.ring + 1) * t.round * bytes + 1024) > 228 * 1024, role)
  end
end

-- Neighbouring tilings differ; those for a single row and for few rows differ at least in the work list.
function TestTilings.test_neighbours_differ()
  each(function(stages, path)
    for _, kernel in ipairs(stages.kernels.list) do
      local last
      for _, tiling in ipairs(tilings_of(kernel)) do
        local own = { tiling.type, tiling.single }
        lu.assertNotEquals(own, last, path .. ": " .. kernel.role)
        last = own
      end
    end
  end)
end

TestMemory = {}

-- The committed tree serves 1536 sequences of 1024 positions on one GCD. The key and the value of a position have 8
-- heads of 64 halves each; a region ends with 768 bytes.
function TestMemory.test_gpt_oss_20b_on_gfx90a()
  local stages = chain.run(chain.GPT_OSS_20B, nil, { target = gfx90a, slots = 1536, context = 1024 })
  local account, got = plan.memory(stages.plan, stages.weights, gfx90a), {}
  for i, item in ipairs(account.items) do got[i] = string.format("%s: %s %d", item.what, item.where, item.bytes) end
  local kv = 1536 * (12 * (256 + 1024) * 2 * 8 * 64 * 2 + 24 * 8 * 768)
  lu.assertEquals(got, {
    "weights packed, BF16: packed 1162690560", "weights packed, F32: packed 27883776",
    "weights packed, F16: packed 2433859072", "weights packed, MXFP4: packed 10178887680",
    "KV cache: device " .. kv, "arena: device " .. stages.plan.arena_bytes,
    "RoPE cos and sin: device " .. 1024 * 32 * 2 * 4, "rows: device " .. (8 + 5 * 1536 + 1) * 4,
    "draws: device " .. 1536 * 24, "picked ids: device " .. 1536 * 4,
    "rows of two passes on the host: host " .. 2 * (8 + 5 * 1536 + 1) * 4,
    "draws of two passes on the host: host " .. 2 * 1536 * 24,
    "picked ids of two passes on the host: host " .. 2 * 1536 * 4,
    "logits on the host: host " .. 128 * 201088 * 4, "staging on the host: host " .. 2 * 16777216,
  })
  lu.assertEquals(kv, 48544874496)
  lu.assertTrue(stages.plan.arena_bytes < 1536 * 90000, "the arena of a row")
  lu.assertTrue(account.device_bytes < account.limit)
  lu.assertEquals(account.limit, 68698000000)
end

-- Experts of 61,073,326,080 bytes leave room for few sequences.
function TestMemory.test_gpt_oss_120b()
  chain.refused("gfx90a: want a plan of at most 68,698,000,000 bytes, got 70,737,123,108 (weights packed, MXFP4: "
    .. "61,073,326,080; KV cache: 5,140,905,984; weights packed, F16: 3,071,252,992): lower --slots or --context",
    chain.run, chain.GPT_OSS_120B, nil, { target = gfx90a })
  chain.run(chain.GPT_OSS_120B, nil, { target = gfx90a, slots = 16, context = 1024 })
  chain.run(chain.GPT_OSS_120B, nil, { target = sm_90 })
end

-- Rings and whole caches consist of blocks of 32 positions. Keys are padded to 32 elements, values to 16.
function TestMemory.test_kv()
  local function kv(name, context, change)
    local stages = run(of_tests(name), change, { slots = 2, context = context })
    local of = stages.plan.kv
    return { of.sliding_positions, of.full_positions, of.key_bytes, of.bytes }
  end
  lu.assertEquals(kv("abacus", 512), { 160, 512, 2 * 2 * 64 * 2, 2 * 2 * (2 * (160 + 512) * 128 * 2 + 4 * 768) })
  lu.assertEquals(kv("abacus", 70), { 96, 96, 512, 2 * 2 * (4 * 96 * 128 * 2 + 4 * 768) })
  lu.assertEquals(kv("odd_f32", 512), { 160, 512, 5 * (32 + 32) * 2, 2 * 5 * ((160 + 512) * 64 * 2 + 2 * 768) })
  lu.assertEquals(kv("odd_sharded", 300)[3], 2 * (96 + 80) * 2)
  local function wider(c) c.sliding_window = 161 end
  lu.assertEquals(kv("abacus", 512, wider)[1], 320) -- 161 + 128 = 289
end

TestSchedule = {}

local function texts(paragraph)
  local out = {}
  for i, step in ipairs(paragraph.lines) do
    out[i] = table.concat({ step.list, step.layer, step.role, table.unpack(step.arguments) }, " ")
  end
  return out
end

function TestSchedule.test_paragraphs()
  for path, n_layers in pairs { [chain.GPT_OSS_20B] = 24, [chain.GPT_OSS_120B] = 36 } do
    local steps, titles = run(path).steps, {}
    for i, paragraph in ipairs(steps) do titles[i] = paragraph.title end
    lu.assertEquals(#steps, 1 + n_layers + 3)
    lu.assertEquals(table.move(titles, 1, 3, 1, {}),
      { "embedding", "layer 00, sliding attention", "layer 01, full attention" })
    lu.assertEquals(table.move(titles, n_layers + 2, n_layers + 4, 1, {}),
      { "head: the greatest logit's id", "head: whole logits", "head: the id that is drawn from the logits" })
    for i = 2, n_layers + 1 do lu.assertEquals(#steps[i].lines, i % 2 == 0 and 8 or 9) end
  end
end

function TestSchedule.test_lists()
  local steps = run(ABACUS).steps
  lu.assertEquals({ texts(steps[1]), texts(steps[6]), texts(steps[7]), texts(steps[8]) }, {
    { "STEP -1 embed BUF_X BUF_H BUF_ARRIVED W_EMBED W_00_ATTN_NORM" },
    { "GREEDY -1 unembed_best BUF_H BUF_BEST W_UNEMBED", "GREEDY -1 pick_best BUF_BEST" },
    { "LOGITS -1 unembed BUF_H BUF_LOGITS W_UNEMBED" },
    { "SAMPLED -1 vocab_sums BUF_LOGITS BUF_SUMS", "SAMPLED -1 draw BUF_LOGITS BUF_SUMS" },
  })
  for layer = 0, 3 do
    for _, text in ipairs(texts(steps[layer + 2])) do lu.assertStrMatches(text, "STEP " .. layer .. " .*") end
  end
end

-- Attention in parts has two steps; only the second reads the sinks.
function TestSchedule.test_parts()
  local got = texts(run(chain.GPT_OSS_20B, nil, { context = 131072 }).steps[3])
  lu.assertEquals(table.move(got, 2, 3, 1, {}),
    { "STEP 1 attn_full BUF_Q BUF_PARTS KV_01", "STEP 1 attn_merge BUF_PARTS BUF_ATTN W_01_SINKS" })
end

TestTrees = {}

-- f(stages, files, path) for every config on every GPU.
local function each_tree(f)
  each(function(stages, path) f(stages, chain.files(stages), path) end)
end

function TestTrees.test_names_and_first_lines()
  each_tree(function(stages, files, path)
    local want = { "arena.h", "build.ninja", "costs.inc", "kernels.h", "kv.h", "memory.inc", "model.h", "schedule.inc",
      "summary.txt", "weights.inc" }
    for _, kernel in ipairs(stages.kernels.list) do
      want[#want + 1] = kernel.role .. ".hip"
      lu.assertStrMatches(kernel.template, "templates/mixed/[%l_]+%.hip%.in")
    end
    table.sort(want)
    lu.assertEquals(chain.sorted_names(files), want, path)
    for name, text in pairs(files) do
      local kernel = stages.kernels.of[name:match("^(.*)%.hip$")]
      lu.assertEquals(text:match("^[^\n]*"), string.format(
        "%s Code generated by gen/main.lua from %s, %s, %s. DO NOT EDIT.", name == "build.ninja" and "#" or "//",
        kernel and kernel.template or "templates/" .. name .. ".in", path, stages.target.name))
    end
  end)
end

function TestTrees.test_lines_are_clean()
  each_tree(function(_, files, path)
    for name, text in pairs(files) do
      lu.assertEquals(text:sub(-1), "\n", path .. ": " .. name)
      for _, bad in ipairs { "[\t\r]", " \n", "\n\n\n", "[^\n ]  +" } do
        lu.assertNil(text:find(bad), path .. ": " .. name)
      end
    end
  end)
end

-- Every line is shorter than 120 columns, except the first one, which names the template and the config.
function TestTrees.test_no_line_is_wide()
  each_tree(function(stages, files, path)
    local names = { "kernels.h", "kv.h" }
    for _, kernel in ipairs(stages.kernels.list) do names[#names + 1] = kernel.file end
    for _, name in ipairs(names) do
      for i, line in ipairs(chain.lines_of(files[name])) do
        lu.assertTrue(i == 1 or #line < 120, string.format("%s: %s:%d", path, name, i))
      end
    end
  end)
  for path, text in pairs(chain.templates(gfx90a)) do
    for i, line in ipairs(chain.lines_of(text)) do
      lu.assertTrue(not path:find("^templates/mixed/") or #line < 120, path .. ":" .. i)
    end
  end
end

-- The body of an attention kernel has fewer than 70 lines, that of any other function fewer than 80; tests/shape.lua
-- checks the sources.
function TestTrees.test_functions_are_short()
  each_tree(function(stages, files, path)
    for _, kernel in ipairs(stages.kernels.list) do
      local limit, start = kernel.role:find("^attn_") and 70 or 80, nil
      for i, line in ipairs(chain.lines_of(files[kernel.file])) do
        if line:find("^%S.*%) {$") or line:find("^    const.*%) {$") then start = start or i end
        if line:find("^}") then
          lu.assertTrue(i - (start or i) - 1 < limit, string.format("%s: %s:%d", path, kernel.file, i))
          start = nil
        end
      end
    end
  end)
end

-- The numbers of a text outside of constants, comments, includes, names, and the tilings with their bounds, which come
-- from the target.
local function numbers(text, symbol)
  local found = {}
  for i, line in ipairs(chain.lines_of(text)) do
    local constant = line:find("^constexpr int ") or line:find("^static const float ") or line:find("^using ")
    if i > 1 and not constant and not line:find("^#include") and not line:find("^%$[^{]") then
      line = line:gsub("//.*", ""):gsub(symbol, ""):gsub("%${[^}]*}", ""):gsub("staged<[%d, ]+>", "")
      line = line:gsub("direct<[%d, ]+>", ""):gsub("streamed<[%d, ]+>", ""):gsub("%f[%w](%a+) <= %d+%)", "%1)")
      for number in line:gmatch("%f[%w_.]%d[%w.]*") do found[number] = true end
    end
  end
  return found
end

-- Columns of octets, quads and spans, bits of a float, and the zeros, ones and halves of formulas.
local LITERALS <const> = {}
for number in ("0 1 2 3 4 8 32 1.0f 1e30f"):gmatch("%S+") do LITERALS[number] = true end

-- For every model a body has only the numbers of its template: no dimension of the model stands in it.
function TestTrees.test_bodies_have_no_literal_dimension()
  local templates, own = chain.templates(gfx90a), {}
  for path, text in pairs(templates) do
    own[path] = numbers(text, "%${symbol}")
    local allowed = path:find("^templates/mixed/") and LITERALS or own[path]
    for number in pairs(own[path]) do lu.assertTrue(allowed[number], path .. ": " .. number) end
  end
  each_tree(function(stages, files, path)
    for _, kernel in ipairs(stages.kernels.list) do
      for number in pairs(numbers(files[kernel.file], kernel.symbol)) do
        lu.assertTrue(own[kernel.template][number], path .. ": " .. kernel.file .. ": " .. number)
      end
    end
  end)
end

-- The symbol stands in its definition and its launch; the launcher has the prototype of kernels.h.
function TestTrees.test_symbols_and_prototypes()
  each_tree(function(stages, files)
    for _, kernel in ipairs(stages.kernels.list) do
      local text = files[kernel.file]
      local head = ".*\nstatic __global__ void __launch_bounds__%([%w_:, ()]+%)\n"
      lu.assertStrMatches(text, head .. kernel.symbol .. ".*")
      lu.assertStrMatches(text, ".*\n +LAUNCH[%u_]*%(pass, " .. kernel.symbol .. ".*")
      lu.assertStrContains(text, "\n" .. kernel.prototype .. " {\n")
      lu.assertStrContains(files["kernels.h"], "\n" .. kernel.prototype .. ";\n")
    end
  end)
end

-- The engine reads the buckets, and how many rows of one sequence attention takes: their heads fill the 16 columns of
-- an instruction.
function TestTrees.test_kernels_h()
  local function assert_holds(path, given, ...)
    local text = chain.files(run(path, nil, given))["kernels.h"]
    for _, line in ipairs { "enum { STEPS_ON_ALL_THREADS = 0 };",
      "enum { STEPS_CAPTURED = 1, HEAD_SPLIT = 1, HALF_ACTIVATIONS = 1 };", ... } do
      lu.assertStrContains(text, "\n" .. line)
    end
  end
  assert_holds(chain.GPT_OSS_20B, { slots = 1536, context = 1024 },
    "static const int ROW_BUCKETS[] = {1, 16, 32, 64, 128, 256, 384, 512, 640, 768, 896, 1024, 1280, 1536};",
    "  GROUP_ROWS = 2, //", "  LOGITS_ROWS = 128, //")
  assert_holds(of_tests "odd_all_experts", {}, "static const int ROW_BUCKETS[] = {1, 16, 32, 64, 128};",
    "  GROUP_ROWS = 16, //")
  assert_holds(of_tests "odd_one_expert", { slots = 200 },
    "static const int ROW_BUCKETS[] = {1, 16, 32, 64, 128, 200};", "  GROUP_ROWS = 5, //")
end

-- kv.h has the parts of the keys, if attention takes them in parts.
function TestTrees.test_kv_h()
  local function text(context) return chain.files(run(chain.GPT_OSS_20B, nil, { context = context }))["kv.h"] end
  lu.assertNil(text(1024):find("PART"))
  lu.assertStrContains(text(131072), "\n#define KV_PARTS 16\n#define KV_PART 8192\n")
end

function TestTrees.test_weights()
  local got = {}
  local text = chain.files(run(chain.GPT_OSS_20B))["weights.inc"]:gsub(",\n    ", ", ")
  for _, line in ipairs(chain.lines_of(text)) do
    if line:find("^WEIGHT%(W_EMBED") or line:find("^WEIGHT%(W_00_[QGV]") then
      got[#got + 1] = line:gsub("([SR]), %d+,", "%1, AT,")
    end
  end
  local attention, mlp = '"model.layers.0.self_attn.', '"model.layers.0.mlp.'
  lu.assertEquals(got, {
    'WEIGHT(W_EMBED, "model.embed_tokens.weight", PLAIN, BF16, CONTIGUOUS, AT, 201088, 2880)',
    'WEIGHT(W_00_Q, ' .. attention .. 'q_proj.weight", PLAIN, F16, PAIRED_TILES, AT, 4096, 2880)',
    'WEIGHT(W_00_V, ' .. attention .. 'v_proj.weight", PLAIN, F16, TILES, AT, 512, 2880)',
    'WEIGHT(W_00_Q_BIAS, ' .. attention .. 'q_proj.bias", PLAIN, F32, PAIRS, AT, 4096)',
    'WEIGHT(W_00_V_BIAS, ' .. attention .. 'v_proj.bias", PLAIN, F32, CONTIGUOUS, AT, 512)',
    'WEIGHT(W_00_GATE_UP, ' .. mlp .. 'experts.gate_up_proj", MXFP4, MXFP4, TILES, AT, 32, 5760, 2880)',
    'WEIGHT(W_00_GATE_UP_BIAS, ' .. mlp .. 'experts.gate_up_proj_bias", PLAIN, F32, CONTIGUOUS, AT, 32, 5760)',
  })
end

-- The two GPUs differ in tilings, work items, threads of a row and the order of MXFP4 codes. Apart from names, their
-- plans, schedules and weights are the same text.
local DIFFER <const> = { ["matmul_o.hip"] = true, ["moe_sort.hip"] = true, ["embed.hip"] = true,
  ["moe_combine.hip"] = true }

function TestTrees.test_targets_differ_in_their_kernels()
  for _, path in ipairs(chain.configs()) do
    local one = chain.files(run(path, nil, { target = TARGETS[1] }))
    local other = chain.files(run(path, nil, { target = TARGETS[2] }))
    for _, name in ipairs { "model.h", "kv.h", "weights.inc", "schedule.inc", "memory.inc", "costs.inc", "kernels.h",
      "build.ninja", "embed.hip", "matmul_o.hip", "moe_sort.hip", "moe_combine.hip", "vocab_sums.hip", "draw.hip" } do
      local text = other[name]:gsub("sm_90", "gfx90a"):gsub("MXFP4, WOVEN_TILES", "MXFP4, TILES")
      local same = text:gsub(",\n    ", ", ") == one[name]:gsub(",\n    ", ", ")
      lu.assertTrue(same or DIFFER[name], path .. ": " .. name)
    end
  end
end

TestTemplates = {}

local function refusal(role, change)
  local stages, templates = run(chain.GPT_OSS_20B), chain.templates(gfx90a)
  local kernel = stages.kernels.of[role]
  local parameters = setmetatable(change, { __index = setmetatable({ role = role, symbol = "s", prototype = "p",
    provenance = "//" }, { __index = kernel.parameters }) })
  local ok, message = pcall(template.render, templates[kernel.template], kernel.template, parameters)
  lu.assertFalse(ok, role)
  return message
end

-- A template refuses parameters that its kernel cannot serve.
function TestTemplates.test_refusals()
  for _, case in ipairs {
    { "attn_sliding", { n_kv_heads = 7 }, "attention.hip.in:1: want n_kv_heads to divide n_heads" },
    { "attn_sliding", { window = 0 }, "attention.hip.in:5: want a window of at least 1 position" },
    { "matmul_o", { splits = 3 }, "matmul_o.hip.in:2: want splits to divide kblocks" },
    { "moe_down", { tiles = 179 }, "moe_matmul.hip.in:1: want k = 64 kblocks, and tiles for all features" },
    { "norm_router", { shapes = { { threads = 96, rows = 1, groups = 1 } } },
      "norm_router.hip.in:5: want threads in whole waves" },
    { "norm_router", { shapes = { { threads = 64, rows = 20, groups = 1 } } },
      "norm_router.hip.in:6: want a thread per choice of a block" },
    { "norm_router", { shapes = { { threads = 64, rows = 2, groups = 2 } } },
      "norm_router.hip.in:7: want the groups of a block's rows in one block" },
  } do
    lu.assertEquals(refusal(case[1], case[2]), "templates/mixed/" .. case[3])
  end
end

-- Every template opens with a check of its parameters.
function TestTemplates.test_checks_come_first()
  for path, text in pairs(chain.templates(gfx90a)) do
    if path:find("^templates/mixed/") then lu.assertEquals(text:match("^[^(]*"), "$assert", path) end
  end
end

os.exit(lu.LuaUnit.run())
