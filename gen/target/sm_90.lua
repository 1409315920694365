-- NVIDIA Hopper, as an H200 has it. This target runs and times the HIP sources on a GPU at hand.

local mixed = require "gen.precision.mixed"

local direct, staged, streamed = mixed.direct, mixed.staged, mixed.streamed

-- Shared memory, as runtime/target/sm_90/staged.h lays it out: bytes that a block may have, bytes of a kblock of a
-- tile of weights, bytes of a kblock of a token.
local SHARED <const> = 227 * 1024
local KBLOCK_BYTES = { F16 = 8 * (16 * 16 + 32), MXFP4 = 4 * 128 + 80 + 16 * 2 }
local TOKEN_BYTES <const> = 64 * 2

-- The ring of a staged tiling: `most` kblocks, or as many as there is room for.
local function up_to(most)
  return function(t, product)
    local weights, octets = t.waves // t.split * t.weights, 8 * (t.tokens * t.split * 16 + 1)
    return math.min(most, SHARED // (weights * KBLOCK_BYTES[product.dtype] + octets * 16))
  end
end

local COMPUTE_UNITS <const> = 132 -- multiprocessors

-- The ring of a streamed tiling for a single row: as long as it can be if all warps of the launch find room at a time.
-- Warps are spread evenly over the multiprocessors, even those that begin while the previous step still runs. The
-- system takes 1 KiB of each block.
local function longest(product, round)
  local warps = (product.tiles + COMPUTE_UNITS - 1) // COMPUTE_UNITS
  local bytes_of_a_warp = (SHARED + 1024) // warps - 1024
  local bytes_of_a_round = round * (KBLOCK_BYTES[product.dtype] + TOKEN_BYTES)
  return math.max(2, math.min(product.kblocks // round, bytes_of_a_warp // bytes_of_a_round))
end

local facts = {
  name = "sm_90",
  memory = 150754820096, -- 143,771 MiB, as nvidia-smi reports of an H200
  flops = 989000000000000, bytes_per_second = 4800000000000, -- tensor cores on halves; HBM3e
  compute_units = COMPUTE_UNITS, waves = 8, -- a block has 256 threads, 8 warps of 32 lanes

  -- For precision `mixed`, as in gfx90a.lua. In a large block two warps have the same weights and divide the tokens.
  -- Weights and tokens go through a ring of kblocks in shared memory.
  code_layout = "WOVEN_TILES", block_overhead = 2, alone = 0, row = { quads = 2, step = 256 },
  router = {
    { upto = 64, rows = 1, groups = 2, quads = 2, at_once = 1, resident = 1 },
    { upto = 264, rows = 1, groups = 1, quads = 2, at_once = 1, resident = 1 },
    { rows = 4, groups = 1, quads = 2, at_once = 2, resident = 1 },
  },
  few = {
    { upto = 1, tiling = streamed { capacity = 1, round = 4, ring = longest } },
    { upto = 16, tiling = streamed { capacity = 16, round = 3, ring = 4 } },
    { upto = 32, tiling = staged { weights = 1, tokens = 2, split = 1, waves = 2, ring = 8 } },
  },
  forms = {
    { weights = 4, tokens = 4, split = 2, ring = 4 }, { weights = 3, tokens = 4, split = 2, ring = 5 },
    { weights = 2, tokens = 4, split = 2, ring = 4 }, { weights = 4, tokens = 2, split = 2, ring = 5 },
    { weights = 2, tokens = 2, split = 2, ring = 4 }, { weights = 1, tokens = 4, split = 2, ring = 4 },
    { weights = 1, tokens = 2, split = 2, ring = 6 },
  },
  unembed = {
    { upto = 16, tiling = direct { weights = 4, tokens = 1, weights_ahead = 2, tokens_ahead = 2, waves = 1 } },
    { upto = 64, tiling = staged { weights = 4, tokens = 2, split = 2, waves = 8, ring = 4 } },
    { tiling = staged { weights = 4, tokens = 4, split = 2, waves = 8, ring = 4 } },
  },
  experts = {
    { upto = 1, name = "one", heights = {
      { upto = 1, tiling = streamed { capacity = 1, round = 5, ring = longest } },
    } },
    { upto = 16, name = "few", heights = {
      { upto = 16, tiling = streamed { capacity = 16, round = 3, ring = 4 } },
    } },
    { name = "many", heights = { -- a multiprocessor runs two blocks at a time
      { upto = 16, tiling = staged { weights = 3, tokens = 1, split = 1, waves = 4, ring = up_to(6) } },
      { upto = 32, tiling = staged { weights = 3, tokens = 2, split = 1, waves = 4, ring = up_to(6) } },
      { upto = 64, tiling = staged { weights = 3, tokens = 4, split = 1, waves = 4, ring = up_to(6) } },
    } },
  },
}

return { fp32 = require("gen.precision.fp32")(facts), mixed = mixed.target(facts) }
