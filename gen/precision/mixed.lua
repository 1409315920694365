-- Precision `mixed` of any GPU with matrix instructions: which template serves each op, with which tiles.
-- Weights lie in tiles (runtime/tiles.h), activations between kernels are F16, sums and the residual
-- stream F32, the KV cache F16.
--
-- A tiling is how a kernel of one matrix is cut for passes of up to so many rows (runtime/target/tilings.h):
-- { upto = rows, type = "staged<4, 8, 1, 4, 2>" }. Expert matrices are cut by the rows of the pass, and then by the
-- height of a work item: its pairs of a row and an expert.

local ctext = require "gen.ctext"
local padded = require("gen.sizes").padded
local tensor_of = require("gen.arguments").tensor_of
local tiles = require "gen.tiles"

local mixed, kernel = {}, {}

local LOG2_E <const> = 1.4426950408889634
local TILE <const>, KBLOCK <const> = tiles.TILE, tiles.KBLOCK
local ALL <const> = 1 << 30   -- a bound that every pass keeps

local WEIGHT_TYPE = { BF16 = "uint16_t", F32 = "float" }
local WEIGHT_NAME = { BF16 = "bf16", F32 = "f32", F16 = "f16", MXFP4 = "mf4" }
local KBLOCK_TYPE = { F16 = "f16_kblock", MXFP4 = "mxfp4_kblock" }

-- A table is read row by row as it is; the widest types stay F32.
local TABLE_DTYPES = { BF16 = "BF16", F16 = "F32", F32 = "F32" }

-- code_layout: of MXFP4.
local function storage(code_layout)
  return function(kind, model)
    if kind == "table" then return TABLE_DTYPES[model.dtype], "CONTIGUOUS" end
    if kind == "experts" and model.experts == "mxfp4" then return "MXFP4", code_layout end
    return "F16", kind == "head_matrix" and "PAIRED_TILES" or "TILES"
  end
end

local function choice(target, fields)
  fields.workspace = 0
  fields.parameters.target = target.name
  fields.act = fields.act or "f16"
  return fields
end

-- ---- tilings ----

function mixed.staged(frags, tokens, split, waves, ring)
  return string.format("staged<%d, %d, %d, %d, %d>", frags, tokens, split, waves, ring)
end

-- The largest divisor of `number` that is at most `most`.
local function divisor(number, most)
  for each = math.min(number, most), 1, -1 do
    if number % each == 0 then return each end
  end
end

-- A function of the kblocks of columns that a wave goes through, at most `depth` of weights and `near` of tokens ahead.
function mixed.direct(frags, tokens, depth, near, waves)
  return function(kblocks)
    local ahead = divisor(kblocks, depth)
    return string.format("direct<%d, %d, %d, %d, %d>", frags, tokens, ahead, divisor(ahead, near), waves)
  end
end

-- The same of kblocks that a warp asks for at a time, `round` at most, for up to `rows` tokens: ring() times ahead, of
-- the kblocks, those of a round, the stored dtype and the warps of the launch.
function mixed.streamed(rows, round, ring)
  return function(kblocks, dtype, warps)
    local each = divisor(kblocks, round)
    return string.format("streamed<%d, %d, %d>", rows, each, ring(kblocks, each, dtype, warps))
  end
end

-- Shares with their types as text, for matrices of so many kblocks of a stored dtype; tiles: in a launch for one row.
local function resolve(tilings, kblocks, dtype, tiles)
  local resolved = {}
  for i, tiling in ipairs(tilings) do
    local type_of = tiling.type
    resolved[i] = { upto = tiling.upto, type = type(type_of) == "function" and type_of(kblocks, dtype, tiles) or type_of }
  end
  return resolved
end

-- Bounds of rows for which a dense matrix may be cut in ways of their own.
local BOUNDS <const> = { 64, 128, 256, 512, 1024, ALL }

-- What a block of so many fragments of weights and of tokens costs a wave: the products, and what does not grow
-- with them. Measured on an H200 and from the static figures of gfx90a (tests/bench/README.md).
local function block_cost(frags, tokens) return frags * tokens + 2 end

-- The cheapest staged tiling of those with `tokens` and `split` for passes of up to `rows` rows: blocks run in
-- rounds, as many at a time as the device has room for.
local function cheapest(target, tiles, rows, forms)
  local best, least
  for _, form in ipairs(forms) do
    local frags, tokens, split, ring = table.unpack(form)
    local across = tiles + target.waves // split * frags - 1
    local down = math.min(rows, 4096) + tokens * split * TILE - 1
    local blocks = across // (target.waves // split * frags) * (down // (tokens * split * TILE))
    local room = target.compute_units * target.residents
    local cost = (blocks + room - 1) // room * block_cost(frags, tokens)
    if not least or cost < least then best, least = mixed.staged(frags, tokens, split, target.waves, ring), cost end
  end
  return best
end

-- How a dense matrix is cut, or `splits` of its columns: for few tokens in small blocks, so that there are many.
local function dense_tilings(target, tiles, kblocks, splits)
  local tilings = resolve(target.few, kblocks, "F16", tiles * splits)
  for _, rows in ipairs(BOUNDS) do
    local tiling = cheapest(target, tiles, rows, target.forms)
    if tilings[#tilings].type == tiling then tilings[#tilings] = nil end
    tilings[#tilings + 1] = { upto = rows, type = tiling }
  end
  return tilings
end

-- Of an expert matrix; a block has the same tiles of weights for every height. A single row needs no work list: its
-- experts are in order.
local function expert_tilings(target, kblocks, dtype, tiles)
  local list = {}
  for i, range in ipairs(target.experts) do
    local heights = resolve(range.heights, kblocks, dtype, tiles)
    local highest = heights[#heights]
    list[i] = { upto = range.upto, name = range.name, type = highest.type, heights = heights, height = highest.upto,
      single = range.upto == 1, many = #heights > 1 }
  end
  return list
end

-- ---- kernels ----

-- Threads of a block that has a whole row: about eight elements each, so that a single row does not wait for memory
-- many times over.
local function row_threads(model)
  local threads = 128
  while threads < 512 and threads * 8 < model.d_model do threads = 2 * threads end
  return threads
end

function kernel.embed(op, model, weights, target)
  local dtype = tensor_of(op, weights, "table").stored
  return choice(target, {
    template = "embed", because = "one block a row: the row and its first norm", weight = WEIGHT_NAME[dtype],
    name = "embed", fused = "norm", dims = { { "k", model.d_model } }, flops = 4 * model.d_model,
    parameters = { d_model = model.d_model, padded = padded(model.d_model, KBLOCK), threads = row_threads(model),
      eps = ctext.f32(model.eps), weight_type = WEIGHT_TYPE[dtype] },
  })
end

function kernel.matmul_qkv(_, model, _, target)
  local q, kv = model.n_heads * model.d_head, model.n_kv_heads * model.d_head
  local q_tiles, kv_tiles, kblocks = tiles.count(q), tiles.count(kv), tiles.kblocks(model.d_model)
  return choice(target, {
    template = "matmul_qkv", because = "q, k and v lie in one row of tiles", weight = "f16", name = "matmul_qkv",
    fused = "rope_append", dims = { { "n", q + 2 * kv }, { "k", model.d_model } },
    flops = 2 * (q + 2 * kv) * model.d_model,
    parameters = {
      n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head, query = padded(model.d_head, 32),
      q_tiles = q_tiles, kv_tiles = kv_tiles, k = kblocks * KBLOCK, kblocks = kblocks, bias = model.attention_bias,
      scale = ctext.f32(model.d_head ^ -0.5 * LOG2_E), tilings = dense_tilings(target, q_tiles + 2 * kv_tiles, kblocks, 1),
    },
  })
end

local function attention(role, because, model, target, parts)
  local sliding = role == "attn_sliding"
  local dims = { { "h", model.n_heads }, { "g", model.n_kv_heads }, { "d", model.d_head } }
  if sliding then dims[4] = { "w", model.window } end
  return choice(target, {
    template = "attention", because = because, name = role, fused = parts and "parts" or nil, dims = dims,
    flops = 4 * model.n_heads * model.d_head,
    parameters = {
      n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head, query = padded(model.d_head, 32),
      out = padded(model.n_heads * model.d_head, KBLOCK), window = sliding and model.window, parts = parts,
      positions = sliding and "KV_SLIDING_POSITIONS" or "KV_FULL_POSITIONS", log2_e = ctext.f32(LOG2_E),
      waves = target.attention_waves,
    },
  })
end

function kernel.attention(op, model, _, target)
  local because = op.role == "attn_sliding" and "keys of the window only" or "every key up to the row's own"
  return attention(op.role, because, model, target, false)
end

function kernel.attention_parts(op, model, _, target)
  return attention(op.role, "keys in parts, so that one long sequence has many blocks", model, target, true)
end

function kernel.attention_merge(_, model, _, target)
  return choice(target, {
    template = "attn_merge", because = "one thread a column: the parts of a row's keys, in order, and the sink",
    name = "attn_merge", act = "f32", dims = { { "h", model.n_heads }, { "d", model.d_head } },
    flops = 2 * model.n_heads * model.d_head,
    parameters = { n_heads = model.n_heads, d_head = model.d_head, out = padded(model.n_heads * model.d_head, KBLOCK),
      log2_e = ctext.f32(LOG2_E) },
  })
end

function kernel.matmul_o(_, model, _, target)
  local k = model.n_heads * model.d_head
  local kblocks, splits = tiles.kblocks(k), target.splits(model)
  return choice(target, {
    template = "matmul_o", because = "K in tilings that the next norm adds: twice the blocks", weight = "f16",
    name = "matmul_o", fused = "split", dims = { { "n", model.d_model }, { "k", k } }, flops = 2 * model.d_model * k,
    parameters = { n = model.d_model, k = kblocks * KBLOCK, kblocks = kblocks, splits = splits,
      tilings = dense_tilings(target, tiles.count(model.d_model), kblocks // splits, splits) },
  })
end

function kernel.norm_router(op, model, weights, target)
  local dtype = tensor_of(op, weights, "router").stored
  return choice(target, {
    template = "norm_router", because = "one block a row, or a few that tiling the router's weights", act = "f32",
    weight = WEIGHT_NAME[dtype], name = "norm_router", fused = "residual_topk",
    dims = { { "k", model.d_model }, { "e", model.n_experts }, { "top", model.top_k } },
    flops = 2 * model.n_experts * model.d_model,
    parameters = {
      d_model = model.d_model, padded = padded(model.d_model, KBLOCK), threads = row_threads(model),
      splits = target.splits(model),
      bias = model.attention_bias, n_experts = model.n_experts, top_k = model.top_k, eps = ctext.f32(model.eps),
      weight_type = WEIGHT_TYPE[dtype],
      blocks_by_rows = { { upto = 2 * target.compute_units, rows = 1 }, { upto = ALL, rows = target.router_rows } },
      router_rows = target.router_rows,
    },
  })
end

-- The most pairs of a work item, by the rows of the pass.
local function item_heights(target)
  local list = {}
  for i, range in ipairs(target.experts) do
    list[i] = { upto = range.upto, height = range.heights[#range.heights].upto }
  end
  return list
end

function kernel.moe_sort(_, model, _, target)
  local rows, heights = {}, {}
  for i, each in ipairs(item_heights(target)) do rows[i], heights[i] = each.upto, each.height end
  return choice(target, {
    template = "moe_sort", because = "one block: a few integers a row", name = "moe_sort", act = "i32",
    dims = { { "e", model.n_experts }, { "top", model.top_k } }, flops = 0,
    parameters = { n_experts = model.n_experts, top_k = model.top_k, rows = table.concat(rows, ", "),
      heights = table.concat(heights, ", ") },
  })
end

-- Small values of the gated activations stay clear of the subnormal halves, and the largest possible one,
-- limit (limit + 1), below 2^15.
local function gated_exponent(model)
  local exponent = 0
  while model.limit * (model.limit + 1) * 2 ^ (exponent + 1) <= 32768 do exponent = exponent + 1 end
  return exponent
end

local function moe_matmul(op, model, weights, target, n, k, parameters)
  local dtype = tensor_of(op, weights, "weight").stored
  parameters.top_k, parameters.n, parameters.kblocks = model.top_k, n, tiles.kblocks(k)
  parameters.k, parameters.tiles, parameters.kblock = parameters.kblocks * KBLOCK, tiles.count(n), KBLOCK_TYPE[dtype]
  parameters.n_experts = model.n_experts
  parameters.tilings = expert_tilings(target, parameters.kblocks, dtype, parameters.tiles * model.top_k)
  return choice(target, {
    template = op.role, because = "all experts in one launch, tiles as high as an expert has rows",
    weight = WEIGHT_NAME[dtype], name = op.role, fused = op.role == "moe_gate_up" and "swiglu" or nil,
    dims = { { "n", n }, { "k", k }, { "e", model.n_experts }, { "top", model.top_k } },
    flops = 2 * n * k * model.top_k, parameters = parameters,
  })
end

function kernel.moe_gate_up(op, model, weights, target)
  return moe_matmul(op, model, weights, target, 2 * model.d_ff, model.d_model, {
    limit = ctext.f32(model.limit), alpha = ctext.f32(model.alpha), log2_e = ctext.f32(LOG2_E),
    padded = padded(model.d_ff, KBLOCK), gated_scale = ctext.f32(2.0 ^ gated_exponent(model)),
  })
end

function kernel.moe_down(op, model, weights, target)
  return moe_matmul(op, model, weights, target, model.d_model, model.d_ff,
    { unscale = ctext.f32(2.0 ^ -gated_exponent(model)) })
end

function kernel.moe_combine(_, model, _, target)
  return choice(target, {
    template = "moe_combine", because = "one block a row: the experts' sum and the next norm", name = "moe_combine",
    act = "f32", fused = "norm", dims = { { "n", model.d_model }, { "top", model.top_k } },
    flops = 2 * model.d_model * model.top_k,
    parameters = { d_model = model.d_model, padded = padded(model.d_model, KBLOCK), threads = row_threads(model),
      top_k = model.top_k, eps = ctext.f32(model.eps) },
  })
end

local BEST_TILES <const> = 4 -- of the vocabulary in one entry of the argmax

local function unembed(model, target, argmax)
  local kblocks = tiles.kblocks(model.d_model)
  return choice(target, {
    template = "unembed",
    because = argmax and "the best of every 64 ids, no logits" or "whole logits, for those who want them",
    weight = "f16", name = "unembed", fused = argmax and "best" or nil,
    dims = { { "n", model.vocab }, { "k", model.d_model } }, flops = 2 * model.vocab * model.d_model,
    parameters = { vocab = model.vocab, k = kblocks * KBLOCK, kblocks = kblocks, argmax = argmax, width = BEST_TILES,
      tilings = resolve(target.unembed, kblocks, "F16", tiles.count(model.vocab)) },
  })
end

function kernel.unembed(_, model, _, target) return unembed(model, target, false) end
function kernel.unembed_best(_, model, _, target) return unembed(model, target, true) end

local function entries(model) return (tiles.count(model.vocab) + BEST_TILES - 1) // BEST_TILES end

function kernel.pick_best(_, model, _, target)
  return choice(target, {
    template = "pick_best", because = "one block an output", name = "pick_best", act = "f32",
    dims = { { "n", entries(model) } }, flops = 0, parameters = { entries = entries(model) },
  })
end

function kernel.top_candidates(_, model, _, target)
  return choice(target, {
    template = "top_candidates", because = "one block an output", name = "top_candidates", act = "f32",
    dims = { { "n", model.vocab }, { "top", target.candidates } }, flops = 0,
    parameters = { vocab = model.vocab, candidates = target.candidates },
  })
end

-- Equal tilings of K for the attention's output projection: two where there is enough of it.
local function splits(model)
  local kblocks = tiles.kblocks(model.n_heads * model.d_head)
  return kblocks >= 16 and kblocks % 2 == 0 and 2 or 1
end

-- Of struct moe_work (runtime/target/moe.h): the count of items, and the most that a pass of up to so many rows can
-- make, of 3 each.
local function work_numbers(target, model, rows)
  local most, above = 0, 0
  for _, each in ipairs(item_heights(target)) do
    if rows > above then
      local of_pass = math.min(rows, each.upto)
      local pairs_of_pass = of_pass * model.top_k
      local more = of_pass > each.height and pairs_of_pass // each.height or 0
      most = math.max(most, math.min(pairs_of_pass, model.n_experts) + more)
    end
    above = each.upto
  end
  return 1 + 3 * most
end

-- Rows of one sequence that attention takes together: their heads are the columns of a matrix instruction.
local function group_rows(model) return TILE // (model.n_heads // model.n_kv_heads) end

-- facts of a GPU -> the target that runs `mixed` on it.
function mixed.target(facts)
  assert(facts.experts[1].upto == 1, "moe_sort leaves a single row out")
  local target = {
    extension = ".hip", templates = "templates/mixed", device = facts.name, precision = "mixed",
    summary = "MXFP4 experts in tiles, other matrices, activations and KV cache F16, sums and residual stream FP32",
    stored = storage(facts.code_layout), expands_experts = true, pairs_features = true, fused = true, splits = splits,
    candidates = 64, best_entries = entries, staging_bytes = 2 * (16 << 20),
    group_rows = group_rows,
    -- The KV cache in halves: positions of a block, elements that a key and a value are padded to, bytes behind the
    -- region of a head, so that regions do not all begin at one memory channel.
    kv = { block = 32, key_width = 32, value_depth = 16, pad = 768 },
    -- Of contexts longer than attention_part positions, full attention takes the keys in parts of about as many, at
    -- most attention_parts of them, each in blocks of attention_waves waves.
    attention_part = 1024, attention_parts = 16, attention_waves = 4,
    defaults = { slots = 32, context = 4096, rows = 128, chunk = 128 }, kernel = {},
  }
  for key, value in pairs(facts) do target[key] = value end
  function target.work_numbers(model, rows) return work_numbers(target, model, rows) end
  for op, choose in pairs(kernel) do
    target.kernel[op] = function(each, model, weights) return choose(each, model, weights, target) end
  end
  return target
end

mixed.ALL = ALL

return mixed
