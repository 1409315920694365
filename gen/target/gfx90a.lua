-- AMD MI200. One GCD of an MI250 is one device.

local mixed = require "gen.precision.mixed"

local direct, staged = mixed.direct, mixed.staged

-- The ring of a staged tiling that has at most so many kblocks on their way.
local function ahead(most)
  return function(_, product) return 1 + mixed.divisor(product.kblocks, most) end
end

-- One wave with one tile of weights, for up to 16 tokens.
local single_wave = direct { weights = 1, tokens = 1, weights_ahead = 8, tokens_ahead = 8, waves = 1 }

-- The same for the experts of a single row: less code, which a block fetches once.
local single_row = direct { weights = 1, tokens = 1, weights_ahead = 3, tokens_ahead = 3, waves = 1 }

-- A block for the pairs of a work item: so many tiles of tokens.
local function item(tokens) return staged { weights = 3, tokens = tokens, split = 1, waves = 4, ring = 2 } end

local facts = {
  name = "gfx90a",
  memory = 68698000000, -- 63.98 GiB, what the runtime reports of a GCD's 64 GB
  flops = 181000000000000, bytes_per_second = 1638000000000, -- the matrix instructions on halves at 1.7 GHz; HBM2e
  compute_units = 104, waves = 4, -- a block has 256 threads, 4 waves of 64 lanes

  -- For precision `mixed`: the order of MXFP4 codes; the cost of a staged block besides its products; the blocks of
  -- kernels that go by rows (LDS has room for two of norm_router); and the tilings (gen/precision/mixed.lua).
  code_layout = "TILES", block_overhead = 4, alone = 0.25, row = { quads = 1, step = 64 },
  router = {
    { upto = 64, rows = 1, groups = 4, quads = 1, at_once = 4, resident = 2 },
    { rows = 2, groups = 1, quads = 2, at_once = 1, resident = 2 },
  },
  -- dense matrices, few rows
  few = {
    { upto = 16, tiling = single_wave },
    { upto = 32, tiling = direct { weights = 1, tokens = 2, weights_ahead = 4, tokens_ahead = 2, waves = 1 } },
  },
  -- dense matrices, more rows: the candidates, of `waves` waves
  forms = {
    { weights = 4, tokens = 8, split = 1, ring = 2 }, { weights = 3, tokens = 8, split = 1, ring = 2 },
    { weights = 2, tokens = 8, split = 1, ring = 2 }, { weights = 4, tokens = 4, split = 1, ring = 2 },
    { weights = 2, tokens = 4, split = 1, ring = 2 }, { weights = 1, tokens = 4, split = 1, ring = ahead(3) },
  },
  unembed = {
    { upto = 16, tiling = direct { weights = 4, tokens = 1, weights_ahead = 2, tokens_ahead = 2, waves = 1 } },
    { upto = 32, tiling = direct { weights = 4, tokens = 2, weights_ahead = 2, tokens_ahead = 1, waves = 1 } },
    { upto = 64, tiling = staged { weights = 4, tokens = 4, split = 1, waves = 4, ring = 2 } },
    { tiling = staged { weights = 4, tokens = 8, split = 1, waves = 4, ring = 2 } },
  },
  experts = {
    { upto = 1, name = "one", heights = { { upto = 1, tiling = single_row } } },
    { upto = 16, name = "few", heights = { { upto = 16, tiling = single_wave } } },
    { upto = 256, name = "some", heights = {
      { upto = 16, tiling = item(1) }, { upto = 32, tiling = item(2) }, { upto = 48, tiling = item(3) },
      { upto = 64, tiling = item(4) },
    } },
    { name = "many", heights = {
      { upto = 16, tiling = item(1) },
      { upto = 32, tiling = item(2) }, { upto = 48, tiling = item(3) }, { upto = 64, tiling = item(4) },
      { upto = 80, tiling = item(5) }, { upto = 96, tiling = item(6) }, { upto = 112, tiling = item(7) },
      { upto = 128, tiling = item(8) },
    } },
  },
  figures = require "gen.target.gfx90a_figures", -- of the compiled matrix kernels, for summary.txt
}

return { fp32 = require("gen.precision.fp32")(facts), mixed = mixed.target(facts) }
