-- NVIDIA Hopper, as an H200 has it: for running and timing the HIP sources on a GPU at hand.
local facts = {
  name = "sm_90",
  memory = 150754820096, -- 143,771 MiB, as nvidia-smi reports of an H200
  flops = 989000000000000, bytes_a_second = 4800000000000, -- tensor cores on halves; HBM3e
  units = 132, waves = 8, -- multiprocessors; warps of 32 lanes in a block of 256 threads
  -- Of precision `mixed`, as in gfx90a.lua.
  code_layout = "WOVEN_TILES", residents = 1, depth = 6,
  forms = { { 4, 4, 2 }, { 3, 4, 2 }, { 2, 4, 2 }, { 4, 2, 2 }, { 2, 2, 2 }, { 1, 4, 2 }, { 1, 2, 2 } },
}

return { fp32 = require("gen.target.fp32")(facts), mixed = require("gen.target.mixed")(facts) }
