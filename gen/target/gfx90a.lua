-- AMD MI200: one GCD of an MI250 is one device.

local mixed = require "gen.precision.mixed"

local direct, staged = mixed.direct, mixed.staged

local facts = {
  name = "gfx90a",
  memory = 68698000000, -- 63.98 GiB, what the runtime reports of a GCD's 64 GB
  flops = 181000000000000, bytes_a_second = 1638000000000, -- the matrix instructions on halves at 1.7 GHz; HBM2e
  compute_units = 104, waves = 4, -- compute kblocks; waves of 64 lanes in a block of 256 threads
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
  -- What tests/kernels/check_gfx90a.lua allows a compiled kernel. A SIMD has 512 registers a lane for all
  -- its waves: four waves, to hide the latency of memory, leave 128 to each. A compute kblock has 64 KiB of LDS.
  kernel_limits = { vgprs = 128, lds = 65536, waves = 4 },
  -- The same of kernels with matrix instructions, whose sums take the registers of two waves: the first gate that
  -- fits the role and one pattern of the kernel's name. Of the hot loop: at least so many per cent of MFMAs among its
  -- instructions, at most so many per cent of their time for LDS and L1, at most so many issue slots (4 clocks) a
  -- 16x16x16 MFMA, which takes 8, or a tile of 16 keys and a KV head's queries. At 1.3 TB/s such a tile is 560 slots.
  gates = {
    { name = "attention", roles = "^attn_", kernels = { "^f16_" }, waves = 2, slots_per_tile = 200,
      loads_in_flight = 20480 },
    { name = "rows that tiling weights", roles = "^norm_router$", kernels = { "^f32_" }, waves = 2 },
    { name = "large tiles", roles = "", kernels = { "<staged<[34],8,1,4,2>>$", "_many$" }, waves = 2, mfma_percent = 35,
      lds_load = 25, l1_load = 25, barriers_per_64_k = 1, slots_per_mfma = 11 },
    { name = "small tiles", roles = "", kernels = { "<staged<.*>>$", "<direct<.*>>$", "_one$", "_few$" }, waves = 2 },
  },
  figures = require "gen.target.gfx90a_figures",
}

return { fp32 = require("gen.precision.fp32")(facts), mixed = mixed.target(facts) }
