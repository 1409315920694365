-- Precision `mixed` for any GPU with matrix instructions: which template serves each op, with which tiling.
-- Weights lie in tiles (runtime/formats/tiles.h). Activations between kernels and the KV cache are F16, sums and the
-- residual stream F32.
--
-- A tiling says how the blocks of a matrix kernel divide its product (runtime/target/mixed/tiling.h). A target writes
-- its numbers by name:
--   staged   { weights, tokens (tiles of a wave), split (waves that divide a block's tokens), waves,
--              ring (kblocks on their way or being multiplied, or a function of the tiling and the product) }
--   direct   { weights, tokens (tiles of a wave), weights_ahead, tokens_ahead (kblocks loaded ahead, at most), waves }
--   streamed { capacity (tokens), round (kblocks loaded at a time, at most),
--              ring (rounds in shared memory, or a function of the product and the round) }
-- and a list of { upto = rows, tiling }; the last entry has no bound and serves all other passes. Expert matrices have
-- a list for the rows of the pass and in it a list for the pairs of a work item. Here each becomes
-- { upto, type = "staged<4, 8, 1, 4, 2>", because }.
-- product = { tiles (of weights, in one launch for a single row), kblocks, dtype (as stored) }.

local ctext = require "gen.ctext"
local sizes = require "gen.sizes"
local tensor_of = require("gen.arguments").tensor_of
local tiles = require "gen.tiles"

local padded, pieces = sizes.padded, sizes.pieces
local mixed, kernel = {}, {}

local LOG2_E <const> = 1.4426950408889634
local TILE <const>, KBLOCK <const> = tiles.TILE, tiles.KBLOCK
local SPAN <const> = 32 -- columns that two fragments hold

local WEIGHT_TYPE = { BF16 = "uint16_t", F32 = "float" }
local WEIGHT_NAME = { BF16 = "bf16", F32 = "f32", F16 = "f16", MXFP4 = "mf4" }
local KBLOCK_TYPE = { F16 = "f16_kblock", MXFP4 = "mxfp4_kblock" }

-- A table is read as it is, one row of it at a time, and so is a router. Dtypes wider than BF16 stay F32.
local TABLE_DTYPES = { BF16 = "BF16", F16 = "F32", F32 = "F32" }

-- code_layout: the layout of MXFP4.
local function storage(code_layout)
  return function(kind, model)
    if kind == "table" or kind == "router" then return TABLE_DTYPES[model.dtype], "CONTIGUOUS" end
    if kind == "experts" and model.experts == "mxfp4" then return "MXFP4", code_layout end
    return "F16", kind == "head_matrix" and "PAIRED_TILES" or "TILES"
  end
end

local function choice(target, fields)
  fields.parameters.target = target.name
  fields.act = fields.act or "f16"
  return fields
end

-- ---- tilings ----

-- The C++ type of a tiling: its numbers in the order of the template's parameters.
local function type_text(name, ...)
  local numbers = {}
  for i, number in ipairs { ... } do numbers[i] = ctext.integer(number) end
  return string.format("%s<%s>", name, table.concat(numbers, ", "))
end

-- The largest divisor of `number` that is at most `most`.
function mixed.divisor(number, most)
  for each = math.min(number, most), 1, -1 do
    if number % each == 0 then return each end
  end
end

local divisor = mixed.divisor

-- Each of these takes the named numbers of a tiling and returns a function: product -> type.

function mixed.staged(t)
  return function(product)
    local ring = type(t.ring) == "function" and t.ring(t, product) or t.ring
    return type_text("staged", t.weights, t.tokens, t.split, t.waves, ring)
  end
end

function mixed.direct(t)
  return function(product)
    local ahead = divisor(product.kblocks, t.weights_ahead)
    return type_text("direct", t.weights, t.tokens, ahead, divisor(ahead, t.tokens_ahead), t.waves)
  end
end

function mixed.streamed(t)
  return function(product)
    local round = divisor(product.kblocks, t.round)
    local ring = type(t.ring) == "function" and t.ring(product, round) or t.ring
    return type_text("streamed", t.capacity, round, ring)
  end
end

local function resolve(list, product, because)
  local resolved = {}
  for i, entry in ipairs(list) do
    resolved[i] = { upto = entry.upto, type = entry.tiling(product), because = because(entry) }
  end
  return resolved
end

-- The rows that stand for all larger passes, and the fewest for which a dense matrix has a block of several waves.
local LARGE <const>, LEAST <const> = 2048, 64

-- The time of a block with so many tiles of weights and of tokens per wave: the products, and what does not grow with
-- them. Its file has that number: for sm_90 measured on an H200, for gfx90a fitted to simulated times.
local function block_cost(target, weights, tokens) return weights * tokens + target.block_overhead end

-- The cheapest of the target's `forms` for a pass of `rows` rows. The blocks that a compute unit runs share its matrix
-- pipes, so the one with the most blocks decides. Two blocks at a time hide each other's waits; an odd one is alone.
local function cheapest(target, product, rows)
  local best
  for _, form in ipairs(target.forms) do
    local block_tiles, block_tokens = target.waves // form.split * form.weights, form.tokens * form.split * TILE
    local blocks = pieces(product.tiles, block_tiles) * pieces(rows, block_tokens)
    local most = pieces(blocks, target.compute_units)
    local cost = (most + most % 2 * target.alone) * block_cost(target, form.weights, form.tokens)
    if not best or cost < best.cost then best = { form = form, cost = cost, blocks = blocks, most = most } end
  end
  local form = best.form
  return {
    type = mixed.staged { weights = form.weights, tokens = form.tokens, split = form.split, waves = target.waves,
      ring = form.ring } (product),
    because = string.format("cheapest of %d forms at %d rows: %d blocks, up to %d for a compute unit", #target.forms,
      rows, best.blocks, best.most),
  }
end

-- The tilings of a dense matrix. For few rows its blocks are small, so that there are many of them.
local function dense_tilings(target, product)
  local tilings = resolve(target.few, product, function() return "few rows: many small blocks" end)
  local bounds = sizes.row_bounds(LARGE)
  bounds[#bounds + 1] = LARGE
  for i, rows in ipairs(bounds) do
    if rows >= LEAST then
      local tiling = cheapest(target, product, rows)
      tiling.upto = i < #bounds and rows or nil
      if tilings[#tilings].type == tiling.type then tilings[#tilings] = nil end
      tilings[#tilings + 1] = tiling
    end
  end
  return tilings
end

local RANGE_BECAUSE <const> = {
  one = "a single row: its experts in order, no work list",
  few = "few rows: most experts have one pair, many small blocks",
}

-- The tilings of an expert matrix. One launch serves items of all heights (pairs), so that a block has the same tiles
-- of weights for each. A single row needs no work list: its experts are in order.
local function expert_tilings(target, product)
  local list = {}
  for i, range in ipairs(target.experts) do
    local heights = resolve(range.heights, product, function(entry)
      return RANGE_BECAUSE[range.name] or string.format("items of up to %d pairs", entry.upto)
    end)
    local highest = heights[#heights]
    highest.is_highest = true
    list[i] = { upto = range.upto, name = range.name, type = highest.type, heights = heights, height = highest.upto,
      single = range.upto == 1, order = #heights > 1 and "item_order<true>" or "item_order<false>" }
  end
  return list
end

-- The list without its last entry, and that entry: a launcher takes it without a condition.
local function split_last(list)
  local last = list[#list]
  assert(not last.upto, "the last tiling has a bound")
  return table.move(list, 1, #list - 1, 1, {}), last
end

-- The lines of summary.txt: { rows, type, because } for each tiling.
local function explained(list)
  local lines = {}
  for _, tiling in ipairs(list) do
    for _, each in ipairs(tiling.heights or { tiling }) do
      lines[#lines + 1] = { rows = tiling.upto and ctext.integer(tiling.upto) or "any", type = each.type,
        because = each.because }
    end
  end
  return lines
end

-- The choice of a kernel with tilings: parameters `tilings`, those with a bound, and `largest`, the last one.
local function tiled(target, tilings, fields)
  fields.tilings = explained(tilings)
  fields.parameters.tilings, fields.parameters.largest = split_last(tilings)
  return choice(target, fields)
end

-- ---- kernels ----

-- Threads of a block that has whole rows: each has `quads` quads of a row, or as many as blocks of 1024 threads need.
local function row_threads(model, target, quads)
  local of_row = model.d_model // 4
  local each = math.max(quads or target.row.quads, pieces(of_row, 1024))
  return math.max(128, padded(pieces(of_row, each), target.row.step))
end

function kernel.embed(op, model, weights, target)
  local dtype = tensor_of(op, weights, "table").stored
  return choice(target, {
    template = "embed", because = "one block per row: the row and its first norm", weight = WEIGHT_NAME[dtype],
    name = "embed", fused = "norm", dims = { { "k", model.d_model } }, flops = 4 * model.d_model,
    parameters = { vocab = model.vocab, d_model = model.d_model, padded = padded(model.d_model, KBLOCK),
      threads = row_threads(model, target), eps = ctext.f32(model.eps), weight_type = WEIGHT_TYPE[dtype] },
  })
end

function kernel.matmul_qkv(_, model, _, target)
  local q, kv = model.n_heads * model.d_head, model.n_kv_heads * model.d_head
  local q_tiles, kv_tiles, kblocks = tiles.count(q), tiles.count(kv), tiles.kblocks(model.d_model)
  local product = { tiles = q_tiles + 2 * kv_tiles, kblocks = kblocks, dtype = "F16" }
  return tiled(target, dense_tilings(target, product), {
    template = "matmul_qkv", because = "the tiles of q, k and v follow each other: one product", weight = "f16",
    name = "matmul_qkv", fused = "rope_append", dims = { { "n", q + 2 * kv }, { "k", model.d_model } },
    flops = 2 * (q + 2 * kv) * model.d_model,
    parameters = {
      n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head, query = padded(model.d_head, SPAN),
      q_tiles = q_tiles, kv_tiles = kv_tiles, k = kblocks * KBLOCK, kblocks = kblocks, bias = model.attention_bias,
      scale = ctext.f32(model.d_head ^ -0.5 * LOG2_E),
    },
  })
end

-- What both templates of attention need.
local function attention(op, model, target, fields)
  local sliding = op.role == "attn_sliding"
  local heads = model.n_heads * model.d_head
  fields.name, fields.flops = op.role, 4 * heads
  fields.dims = { { "h", model.n_heads }, { "g", model.n_kv_heads }, { "d", model.d_head } }
  if sliding then fields.dims[4] = { "w", model.window } end
  fields.parameters = {
    n_heads = model.n_heads, n_kv_heads = model.n_kv_heads, d_head = model.d_head, query = padded(model.d_head, SPAN),
    out = padded(heads, KBLOCK), pads = padded(heads, KBLOCK) > heads,
    pads_query = padded(model.d_head, SPAN) > model.d_head, window = sliding and model.window,
    positions = sliding and "KV_SLIDING_POSITIONS" or "KV_FULL_POSITIONS", log2_e = ctext.f32(LOG2_E),
    waves = target.attention_waves,
  }
  return choice(target, fields)
end

function kernel.attention(op, model, _, target)
  local because = op.role == "attn_sliding" and "keys of the window only" or "every key up to the row's own"
  return attention(op, model, target, { template = "attention", because = because })
end

function kernel.attention_parts(op, model, _, target)
  return attention(op, model, target, { template = "attention_parts", fused = "parts",
    because = "keys in parts, so that one long sequence has many blocks" })
end

function kernel.attention_merge(_, model, _, target)
  local heads = model.n_heads * model.d_head
  return choice(target, {
    template = "attn_merge", because = "one thread per element: the parts of a row's keys, in order, and the sink",
    name = "attn_merge", act = "f32", dims = { { "h", model.n_heads }, { "d", model.d_head } }, flops = 2 * heads,
    parameters = { n_heads = model.n_heads, d_head = model.d_head, out = padded(heads, KBLOCK),
      pads = padded(heads, KBLOCK) > heads, log2_e = ctext.f32(LOG2_E) },
  })
end

function kernel.matmul_o(_, model, _, target)
  local k = model.n_heads * model.d_head
  local kblocks, splits = tiles.kblocks(k), target.splits(model)
  local product = { tiles = tiles.count(model.d_model) * splits, kblocks = kblocks // splits, dtype = "F16" }
  return tiled(target, dense_tilings(target, product), {
    template = "matmul_o", because = "K in splits that the next norm adds: more blocks", weight = "f16",
    name = "matmul_o", fused = "split", dims = { { "n", model.d_model }, { "k", k } }, flops = 2 * model.d_model * k,
    parameters = { n = model.d_model, k = kblocks * KBLOCK, kblocks = kblocks, splits = splits },
  })
end

-- The blocks of norm_router for passes of so many rows.
local function router_shapes(model, target)
  local shapes = {}
  for i, each in ipairs(target.router) do
    local threads = row_threads(model, target, each.quads)
    local waves = threads * target.waves // 256
    local groups = math.min(pieces(model.n_experts, waves), each.groups)
    shapes[i] = { upto = each.upto, rows = each.rows, threads = threads, groups = groups, resident = each.resident,
      at_once = math.min(pieces(model.n_experts, waves * groups), each.at_once) }
  end
  return shapes
end

function kernel.norm_router(op, model, weights, target)
  local dtype, experts = tensor_of(op, weights, "router").stored, model.n_experts
  return choice(target, {
    template = "norm_router", because = "few rows: several blocks per row, many rows: one for several",
    act = "f32", weight = WEIGHT_NAME[dtype], name = "norm_router", fused = "residual_topk",
    dims = { { "k", model.d_model }, { "e", experts }, { "top", model.top_k } }, flops = 2 * experts * model.d_model,
    parameters = {
      d_model = model.d_model, padded = padded(model.d_model, KBLOCK), eps = ctext.f32(model.eps),
      splits = target.splits(model), bias = model.attention_bias, n_experts = experts, top_k = model.top_k,
      weight_type = WEIGHT_TYPE[dtype], shapes = router_shapes(model, target),
    },
  })
end

-- The most pairs of a work item, by the rows of the pass: list of { upto = rows, height = pairs }.
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
    template = "moe_sort", because = "one block: a few integers per row", name = "moe_sort", act = "i32",
    dims = { { "e", model.n_experts }, { "top", model.top_k } }, flops = 0,
    parameters = { n_experts = model.n_experts, top_k = model.top_k, rows = table.concat(rows, ", "),
      heights = table.concat(heights, ", "), bounds = #rows },
  })
end

-- A power of two for the gated activations: small values stay clear of the subnormal halves, and the largest possible
-- one, limit (limit + 1), stays below 2^15.
local function gated_exponent(model)
  return 15 - math.ceil(math.log(model.limit * (model.limit + 1), 2))
end

local function moe_matmul(op, model, weights, target, n, k, own)
  local dtype, kblocks = tensor_of(op, weights, "weight").stored, tiles.kblocks(k)
  local parameters = {
    top_k = model.top_k, n_experts = model.n_experts, n = n, k = kblocks * KBLOCK, kblocks = kblocks,
    tiles = tiles.count(n), kblock = KBLOCK_TYPE[dtype],
  }
  for name, value in pairs(own) do parameters[name] = value end
  local product = { tiles = parameters.tiles * model.top_k, kblocks = kblocks, dtype = dtype }
  local tilings = expert_tilings(target, product)
  parameters.kernels = tilings
  return tiled(target, tilings, {
    template = "moe_matmul", because = "all experts in one launch, tiles as high as an expert has pairs",
    weight = WEIGHT_NAME[dtype], name = op.role, fused = own.gated and "swiglu" or nil,
    dims = { { "n", n }, { "k", k }, { "e", model.n_experts }, { "top", model.top_k } },
    flops = 2 * n * k * model.top_k, parameters = parameters,
  })
end

function kernel.moe_gate_up(op, model, weights, target)
  local out = padded(model.d_ff, KBLOCK)
  return moe_matmul(op, model, weights, target, 2 * model.d_ff, model.d_model, {
    gated = true, d_ff = model.d_ff, out = out, pads = out > model.d_ff, out_type = "uint16_t", out_of = "pass_halves",
    limit = ctext.f32(model.limit), alpha = ctext.f32(model.alpha), log2_e = ctext.f32(LOG2_E),
    scale = ctext.f32(2.0 ^ gated_exponent(model)),
  })
end

function kernel.moe_down(op, model, weights, target)
  return moe_matmul(op, model, weights, target, model.d_model, model.d_ff, {
    gated = false, pads = false, out_type = "float", out_of = "pass_floats",
    scale = ctext.f32(2.0 ^ -gated_exponent(model)),
  })
end

function kernel.moe_combine(_, model, _, target)
  return choice(target, {
    template = "moe_combine", because = "one block per row: the experts' sum and the next norm", name = "moe_combine",
    act = "f32", fused = "norm", dims = { { "n", model.d_model }, { "top", model.top_k } },
    flops = 2 * model.d_model * model.top_k,
    parameters = { d_model = model.d_model, padded = padded(model.d_model, KBLOCK),
      threads = row_threads(model, target), top_k = model.top_k, eps = ctext.f32(model.eps) },
  })
end

local BEST_TILES <const> = 4 -- tiles of the vocabulary in one entry of the argmax

local function entries(model) return (tiles.count(model.vocab) + BEST_TILES - 1) // BEST_TILES end

local function unembed(model, target, fields)
  local kblocks = tiles.kblocks(model.d_model)
  local product = { tiles = tiles.count(model.vocab), kblocks = kblocks, dtype = "F16" }
  fields.weight, fields.name, fields.flops = "f16", "unembed", 2 * model.vocab * model.d_model
  fields.dims = { { "n", model.vocab }, { "k", model.d_model } }
  fields.parameters = { vocab = model.vocab, k = kblocks * KBLOCK, kblocks = kblocks, entry_tiles = BEST_TILES,
    entries = entries(model) }
  local tilings = resolve(target.unembed, product, function() return "vocabulary: always many tiles per wave" end)
  return tiled(target, tilings, fields)
end

function kernel.unembed(_, model, _, target)
  return unembed(model, target, { template = "unembed", because = "whole logits, for outputs that need them" })
end

function kernel.unembed_best(_, model, _, target)
  return unembed(model, target, { template = "unembed_best", fused = "best",
    because = "the best of every 64 ids, no logits" })
end

function kernel.pick_best(_, model, _, target)
  return choice(target, {
    template = "pick_best", because = "one block per output", name = "pick_best", act = "f32",
    dims = { { "n", entries(model) } }, flops = 0, parameters = { entries = entries(model) },
  })
end

-- A draw sums the weights of the vocabulary by segments: whole multiples of SEGMENT ids, at most MOST_SEGMENTS of them.
local SEGMENT <const>, MOST_SEGMENTS <const> = 256, 1024

local function segment(model) return padded(pieces(model.vocab, MOST_SEGMENTS), SEGMENT) end

local function segments(model) return pieces(model.vocab, segment(model)) end

local function drawing(model, target, name, because)
  return choice(target, {
    template = name, because = because, name = name, act = "f32",
    dims = { { "n", model.vocab } }, flops = 0,
    parameters = { vocab = model.vocab, segment = segment(model), segments = segments(model) },
  })
end

function kernel.vocab_sums(_, model, _, target)
  return drawing(model, target, "vocab_sums", "one block per output: which ids are kept, their weights by segment")
end

function kernel.draw(_, model, _, target)
  return drawing(model, target, "draw", "one wave per output: the segment, then the id in it")
end

-- Splits of K for the attention's output projection: two if they are equal and K is long enough.
local function splits(model)
  local kblocks = tiles.kblocks(model.n_heads * model.d_head)
  return kblocks >= 16 and kblocks % 2 == 0 and 2 or 1
end

-- The integers of struct moe_work (runtime/formats/moe_work.h) for a pass of up to `rows` rows: the number of items,
-- and 3 for each item that such a pass can have at most.
local function work_numbers(target, model, rows)
  local most, above = 0, 0
  for _, each in ipairs(item_heights(target)) do
    if rows > above then
      local of_pass = math.min(rows, each.upto or rows)
      local pairs_of_pass = of_pass * model.top_k
      local hit = math.min(pairs_of_pass, model.n_experts)
      local more = of_pass > each.height and (pairs_of_pass - hit) // each.height or 0
      most = math.max(most, hit + more)
    end
    above = each.upto
  end
  return 1 + 3 * most
end

-- Rows of one sequence that attention takes together: their heads are the columns of a matrix instruction.
local function group_rows(model) return TILE // (model.n_heads // model.n_kv_heads) end

-- facts of a GPU -> the target that runs `mixed` on it.
function mixed.target(facts)
  assert(facts.experts[1].upto == 1 and facts.experts[2], "moe_sort skips a single row; other passes need a range")
  local target = {
    extension = ".hip", templates = "templates/mixed", device = facts.name, precision = "mixed",
    summary = "MXFP4 experts in tiles, other matrices, activations and KV cache F16, sums and residual stream FP32",
    stored = storage(facts.code_layout), pairs_features = true, fused = true, splits = splits,
    segments = segments, best_entries = entries, staging_bytes = 2 * (16 << 20),
    group_rows = group_rows,
    -- The KV cache in halves: positions of a block; elements that a key and a value are padded to; bytes after the
    -- region of a head, so that regions begin at different memory channels.
    kv = { block = 32, key_width = 32, value_depth = 16, pad = 768 },
    -- For contexts of more than attention_part positions, full attention takes the keys in parts of about so many
    -- positions. There are at most attention_parts of them. A block has attention_waves waves.
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

return mixed
