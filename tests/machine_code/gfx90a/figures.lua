-- A kernel (assembly.lua) -> figures that predict how well it runs: the waves that fit a SIMD, and for one wave and one
-- iteration of the hot loop the instructions issued, the bytes moved, and the load on VALU, LDS and L1 while the matrix
-- core works. Time is in issue slots of 4 clocks. A compute unit has four SIMDs, and each figure is of one of them.

local isa = require "tests.machine_code.gfx90a.isa"
local loops = require "tests.machine_code.gfx90a.loops"
local figures = {}

local LANES = 64
local SIMDS = 4 -- per compute unit
local REGISTERS = 512 -- per lane, for all waves of a SIMD
local LDS = 65536 -- bytes per compute unit
local MAX_WAVES = 8 -- per SIMD
local LDS_BYTES_PER_SLOT, L1_BYTES_PER_SLOT = 128, 64 -- of one SIMD, a quarter of the compute unit's
local SLOTS_OF_16X16X16 = 8 -- of the matrix core, for one MFMA

-- Waves that fit a SIMD by registers, LDS and the size of a block.
local function waves(kernel)
  local per_block = math.max(1, (kernel.threads + LANES - 1) // LANES)
  local registers = math.max(8, (kernel.registers + 7) // 8 * 8)
  local blocks = math.min(MAX_WAVES, REGISTERS // registers) * SIMDS // per_block
  blocks = math.min(blocks, per_block > 1 and 16 or 32)
  if kernel.lds > 0 then blocks = math.min(blocks, LDS // kernel.lds) end
  return blocks * per_block / SIMDS
end

-- Counts the path's instructions by class, the slots of its MFMAs and vector instructions, and the bytes of one wave.
local function mix(code)
  local count = { mfma = 0, valu = 0, salu = 0, lds = 0, global = 0, scratch = 0, barrier = 0, wait = 0 }
  local sum = { count = count, mfma_slots = 0, valu_slots = 0, lds_bytes = 0, read_bytes = 0, written_bytes = 0 }
  for _, each in ipairs(code) do
    local class, access = isa.class(each.op), isa.access(each.op)
    count[class] = count[class] + 1
    sum.mfma_slots = sum.mfma_slots + isa.mfma_slots(each.op)
    if class == "valu" then sum.valu_slots = sum.valu_slots + isa.vector_slots(each.op) end
    if access then
      local what = access.space == "lds" and "lds_bytes" or access.kind == "read" and "read_bytes" or "written_bytes"
      sum[what] = sum[what] + access.bytes * LANES
    end
  end
  return sum
end

-- The k that each sum of the loop covers in one iteration: the k of all MFMAs divided by the number of sums. An MFMA
-- that adds to the result of an earlier one continues its sum.
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

-- The most bytes of loads that a wave has issued and not yet waited for. s_waitcnt vmcnt counts loads and stores, which
-- finish in order. The loop is followed twice, since an iteration may wait for loads of the one before.
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

-- The head size of an attention kernel, rounded up to the 16 of a matrix instruction; nil for any other kernel.
local function head_size(kernel)
  local size = kernel.name:match("_attn_.*_d(%d+)_")
  return size and (math.tointeger(size) + 15) // 16 * 16
end

-- The figures of a kernel: {
--   waves (per SIMD), code (of the hot loop) or nil if no loop has an MFMA. The rest is there if one has, for one wave
--   and one iteration of the loop:
--   count = { mfma, valu, salu, lds, global, scratch, barrier, wait } (instructions), mfma_slots, valu_slots,
--   lds_bytes, read_bytes, written_bytes, mfma_percent (of the instructions), valu_load, lds_load, l1_load (per cent
--   of the time of its MFMAs), depth (k of each sum), barriers_per_64_k, loads_in_flight (bytes per compute unit),
--   tiles (of attention: 16 keys x 16 query heads, by the slots of its MFMAs; else nil),
-- }
function figures.measure(kernel)
  local code = loops.hot(kernel.blocks)
  if not code then return { waves = waves(kernel) } end
  local of, head = mix(code), head_size(kernel)
  of.waves, of.code = waves(kernel), code
  of.mfma_percent = 100 * of.count.mfma / #code
  of.valu_load = 100 * of.valu_slots / of.mfma_slots
  of.lds_load = 100 * of.lds_bytes / LDS_BYTES_PER_SLOT / of.mfma_slots
  of.l1_load = 100 * of.read_bytes / L1_BYTES_PER_SLOT / of.mfma_slots
  of.depth = depth(code)
  of.barriers_per_64_k = of.count.barrier * 64 / of.depth
  of.loads_in_flight = math.tointeger(in_flight(code) * of.waves * SIMDS)
  -- A tile is two products of 16 x 16 x head size, which need one slot per element of the head.
  of.tiles = head and of.mfma_slots / head
  return of
end

-- Adds the figures that follow from the issue slots of an iteration (mca.lua): slots_per_mfma (of 16x16x16, others in
-- proportion), slots_per_tile (of attention), and the fraction of the time that the matrix core is busy with one wave
-- (busy) and at most with all waves (busy_at_most).
function figures.add_slots(of, slots)
  of.slots = slots
  of.slots_per_mfma = slots * SLOTS_OF_16X16X16 / of.mfma_slots
  of.slots_per_tile = of.tiles and slots / of.tiles
  of.busy = of.mfma_slots / slots
  of.busy_at_most = math.min(1, of.waves * of.busy, 100 / math.max(of.valu_load, of.lds_load, of.l1_load, 100))
end

return figures
