-- AMD MI200: one GCD of an MI250 is one device.

local mixed = require "gen.precision.mixed"

local direct, staged = mixed.direct, mixed.staged

local facts = {
  name = "gfx90a",
  memory = 68698000000, -- 63.98 GiB, what the runtime reports of a GCD's 64 GB
  flops = 181000000000000, bytes_per_second = 1638000000000, -- the matrix instructions on halves at 1.7 GHz; HBM2e
  compute_units = 104, waves = 4, -- CUs; waves of 64 lanes in a block of 256 threads
  -- Of precision `mixed`: the order of MXFP4 codes; staged blocks that a kblock has room for; and the tilings of a
  -- kernel (runtime/target/tilings.h). All waves of a block tiling its tokens, the weights go straight to registers.
  code_layout = "TILES", residents = 2, router_rows = 2, -- rows that tiling the router's weights: what LDS has room for
  few = { { upto = 16, type = direct(1, 1, 8, 8, 1) }, { upto = 32, type = direct(1, 2, 4, 2, 1) } },
  -- of larger dense matrices: fragments of weights and of tokens a wave, waves that split the tokens, kblocks in LDS
  forms = { { 4, 8, 1, 2 }, { 3, 8, 1, 2 }, { 2, 8, 1, 2 }, { 4, 4, 1, 2 }, { 2, 4, 1, 2 }, { 1, 4, 1, 2 } },
  unembed = {
    { upto = 16, type = direct(4, 1, 2, 2, 1) }, { upto = 32, type = direct(4, 2, 2, 1, 1) },
    { upto = 64, type = staged(4, 4, 1, 4, 2) }, { upto = mixed.ALL, type = staged(4, 8, 1, 4, 2) },
  },
  experts = {
    { upto = 1, name = "one", heights = { { upto = 1, type = direct(1, 1, 8, 8, 1) } } },
    { upto = 16, name = "few", heights = { { upto = 16, type = direct(1, 1, 8, 8, 1) } } },
    { upto = mixed.ALL, name = "many", heights = {
      { upto = 16, type = direct(3, 1, 4, 2, 4) }, { upto = 32, type = direct(3, 2, 2, 1, 4) },
      { upto = 64, type = staged(3, 4, 1, 4, 2) }, { upto = 128, type = staged(3, 8, 1, 4, 2) },
    } },
  },
  figures = require "gen.target.gfx90a_figures", -- of the compiled matrix kernels, for summary.txt
}

return { fp32 = require("gen.precision.fp32")(facts), mixed = mixed.target(facts) }
