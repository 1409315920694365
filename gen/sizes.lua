-- Bytes of the dtypes, and counts rounded up.

local sizes = {}

-- Bytes per element. MXFP4 has no whole bytes per element: gen/tiles.lua and gen/panels.lua have its sizes.
sizes.BYTES = { F16 = 2, BF16 = 2, F32 = 4, I32 = 4, I64 = 8 }

-- How many pieces of `size` hold `count`.
function sizes.pieces(count, size) return (count + size - 1) // size end

-- `count` rounded up to a multiple of `size`.
function sizes.padded(count, size) return sizes.pieces(count, size) * size end

local LEAST_BOUND <const>, LEAST_STEP <const> = 16, 128 -- rows

-- The numbers of rows below `rows` up to which a pass has one schedule with blocks of one size: powers of two, in
-- between every 128 rows, and from 1024 on every quarter of a power of two.
function sizes.row_bounds(rows)
  local list, bound, power = { 1 }, LEAST_BOUND, LEAST_BOUND
  while bound < rows do
    list[#list + 1] = bound
    if bound == 2 * power then power = bound end
    bound = bound + math.min(power, math.max(power // 4, LEAST_STEP))
  end
  return list
end

return sizes
