-- A kernel (assembly.lua) -> the figures that say how well it will run: waves a SIMD, and of the hot loop, by
-- wave and turn: what it issues, what it moves, how that loads the kblocks that a matrix instruction tilings the
-- compute kblock with. Formulas take a pass of the matrix kblock as 4 clocks, an issue slot, and see one SIMD of the
-- four of a compute kblock.

local isa = require "tests.machine_code.gfx90a.isa"
local loops = require "tests.machine_code.gfx90a.loops"
local figures = {}

local LANES = 64
local SIMDS = 4 -- of a compute kblock
local REGISTERS = 512 -- a lane, of all waves of a SIMD
local LDS = 65536 -- bytes of a compute kblock
local MAX_WAVES = 8 -- of a SIMD
local LDS_SLOT, L1_SLOT = 128, 64 -- bytes that a SIMD's part of LDS and L1 moves in an issue slot
local TILE_PASSES = 8 -- of a 16x16x16 MFMA

-- Waves that a SIMD has room for, by registers, LDS and the size of a block.
local function waves(kernel)
  local a_block = math.max(1, (kernel.threads + LANES - 1) // LANES)
  local registers = math.max(8, (kernel.registers + 7) // 8 * 8)
  local blocks = math.min(MAX_WAVES, REGISTERS // registers) * SIMDS // a_block
  blocks = math.min(blocks, a_block > 1 and 16 or 32)
  if kernel.lds > 0 then blocks = math.min(blocks, LDS // kernel.lds) end
  return blocks * a_block / SIMDS
end

-- Counts of the path's instructions by kblock, the slots of its vector ones, and bytes of a wave.
local function mix(code)
  local count = { mfma = 0, valu = 0, salu = 0, lds = 0, global = 0, scratch = 0, barrier = 0, wait = 0 }
  local sum = { count = count, passes = 0, valu_slots = 0, lds_bytes = 0, read_bytes = 0, written_bytes = 0 }
  for _, each in ipairs(code) do
    local kblock, access = isa.kblock(each.op), isa.access(each.op)
    count[kblock] = count[kblock] + 1
    sum.passes = sum.passes + isa.passes(each.op)
    if kblock == "valu" then sum.valu_slots = sum.valu_slots + isa.vector_slots(each.op) end
    if access then
      local what = access.space == "lds" and "lds_bytes" or access.kind == "read" and "read_bytes" or "written_bytes"
      sum[what] = sum[what] + access.bytes * LANES
    end
  end
  return sum
end

-- The k over which the loop sums in a turn: what the MFMAs that add to one another's result add up to.
local function depth(code)
  local result, sums, total = {}, 0, 0
  for _, each in ipairs(code) do
    local _, k = isa.mfma(each.op)
    if k then
      local to, from = each.text:match("^%S+ ([^,]+), *[^,]+, *[^,]+, *([^, ]+)")
      if not result[from] then sums = sums + 1 end
      result[to], total = true, total + k
    end
  end
  return total // sums
end

-- Bytes of loads that a wave has asked for and not yet waited for, at most. The counter of s_waitcnt counts
-- loads and stores, which finish in order. Twice around: what a turn asks for the next may wait for.
local function in_flight(code)
  local pending, bytes, most = {}, 0, 0
  for _ = 1, 2 do
    for _, each in ipairs(code) do
      local access, left = isa.access(each.op), each.text:match("vmcnt%((%d+)%)")
      if access and access.space == "global" then
        pending[#pending + 1] = access.kind == "read" and access.bytes * LANES or 0
        bytes = bytes + pending[#pending]
        most = math.max(most, bytes)
      end
      while left and #pending > math.tointeger(left) do bytes = bytes - table.remove(pending, 1) end
    end
  end
  return most
end

-- The head size that a kernel of attention was made for, in the 16s of a matrix instruction; else nil.
local function head_size(kernel)
  local size = kernel.name:match("_attn_.*_d(%d+)_")
  return size and (math.tointeger(size) + 15) // 16 * 16
end

-- -> {
--   waves (a SIMD), code (of the hot loop) or nil if no loop has an MFMA, and if one has:
--   count = { mfma, valu, salu, lds, global, scratch, barrier, wait } (instructions), passes, lds_bytes,
--   read_bytes, written_bytes (a wave), mfma_percent (per cent of the instructions), valu_load, lds_load, l1_load
--   (per cent of the time of its MFMAs), depth (k a turn), barriers_per_64_k, loads_in_flight (bytes a compute
--   kblock), tiles (of attention: 16 keys x 16 query heads, by its MFMAs; else nil),
-- }
function figures.measure(kernel)
  local code = loops.hot(kernel.blocks)
  if not code then return { waves = waves(kernel) } end
  local of, head = mix(code), head_size(kernel)
  of.waves, of.code = waves(kernel), code
  of.mfma_percent = 100 * of.count.mfma / #code
  of.valu_load = 100 * of.valu_slots / of.passes
  of.lds_load = 100 * of.lds_bytes / LDS_SLOT / of.passes
  of.l1_load = 100 * of.read_bytes / L1_SLOT / of.passes
  of.depth = depth(code)
  of.barriers_per_64_k = of.count.barrier * 64 / of.depth
  of.loads_in_flight = math.tointeger(in_flight(code) * of.waves * SIMDS)
  -- Two products of 16 x 16 x head size take a pass for each element of the head.
  of.tiles = head and of.passes / head
  return of
end

-- Adds what issue slots (mca.lua) mean: slots a 16x16x16 MFMA or its like, slots a tile of attention, and the
-- tiling of its time that the matrix kblock is busy with one wave, and at most with all of them.
function figures.add_slots(of, slots)
  of.slots = slots
  of.slots_per_mfma = slots * TILE_PASSES / of.passes
  of.slots_per_tile = of.tiles and slots / of.tiles
  of.busy = of.passes / slots
  of.busy_at_most = math.min(1, of.waves * of.busy, 100 / math.max(of.valu_load, of.lds_load, of.l1_load, 100))
end

return figures
