-- NVIDIA Hopper, as an H200 has it: for running and timing the HIP sources on a GPU at hand.

local mixed = require "gen.precision.mixed"

local direct, staged, streamed = mixed.direct, mixed.staged, mixed.streamed

-- Of runtime/target/sm_90_staged.h: bytes of shared memory that a block may have, of a kblock of a tile in it, of a kblock
-- of a token.
local SHARED <const> = 227 * 1024
local KBLOCK_BYTES = { F16 = 8 * (16 * 16 + 32), MXFP4 = 4 * 128 + 80 + 16 * 2 }
local TOKEN_BYTES <const> = 64 * 2

-- staged() with a ring of `most` kblocks, or of as many as there is room for.
local function ringed(frags, tokens, split, waves, most)
  return function(_, dtype)
    local slot = waves // split * frags * KBLOCK_BYTES[dtype] + 8 * (tokens * split * 16 + 1) * 16
    return staged(frags, tokens, split, waves, math.min(most, SHARED // slot))
  end
end

local COMPUTE_UNITS <const> = 132 -- multiprocessors

local function always(ring) return function() return ring end end

-- The longest ring with which all warps of a launch find room at a time. No multiprocessor has room for many more than
-- its part of them: those that begin early, while others still run, are spread evenly, too.
local function spread(kblocks, round, dtype, warps)
  local of_a_warp = (SHARED + 1024) // ((warps + COMPUTE_UNITS - 1) // COMPUTE_UNITS) - 1024 -- 1 KiB of each is the system's
  return math.max(2, math.min(kblocks // round, of_a_warp // (round * (KBLOCK_BYTES[dtype] + TOKEN_BYTES))))
end

local facts = {
  name = "sm_90",
  memory = 150754820096, -- 143,771 MiB, as nvidia-smi reports of an H200
  flops = 989000000000000, bytes_per_second = 4800000000000, -- tensor cores on halves; HBM3e
  compute_units = COMPUTE_UNITS, waves = 8, -- multiprocessors; warps of 32 lanes in a block of 256 threads
  -- Of precision `mixed`, as in gfx90a.lua. Pairs of warps split the tokens of a large block; weights and tokens go
  -- through a ring of kblocks in shared memory, of which a multiprocessor has 227 KiB.
  code_layout = "WOVEN_TILES", residents = 1, router_rows = 4,
  few = {
    { upto = 1, type = streamed(1, 4, spread) }, { upto = 16, type = streamed(16, 3, always(4)) },
    { upto = 32, type = staged(1, 2, 1, 2, 8) },
  },
  forms = {
    { 4, 4, 2, 4 }, { 3, 4, 2, 5 }, { 2, 4, 2, 4 }, { 4, 2, 2, 5 }, { 2, 2, 2, 4 }, { 1, 4, 2, 4 }, { 1, 2, 2, 6 },
  },
  unembed = {
    { upto = 16, type = direct(4, 1, 2, 2, 1) }, { upto = 64, type = staged(4, 2, 2, 8, 4) },
    { upto = mixed.ALL, type = staged(4, 4, 2, 8, 4) },
  },
  experts = {
    { upto = 1, name = "one", heights = { { upto = 1, type = streamed(1, 5, spread) } } },
    { upto = 16, name = "few", heights = { { upto = 16, type = streamed(16, 3, always(4)) } } },
    { upto = mixed.ALL, name = "many", heights = { -- two blocks on a multiprocessor
      { upto = 16, type = ringed(3, 1, 1, 4, 6) }, { upto = 32, type = ringed(3, 2, 1, 4, 6) },
      { upto = 64, type = ringed(3, 4, 1, 4, 6) },
    } },
  },
}

return { fp32 = require("gen.precision.fp32")(facts), mixed = mixed.target(facts) }
