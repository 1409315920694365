-- Bytes of the dtypes, and counts rounded up.

local sizes = {}

-- Bytes per element. MXFP4 has no whole bytes per element: gen/tiles.lua and gen/panels.lua have its sizes.
sizes.BYTES = { F16 = 2, BF16 = 2, F32 = 4, I32 = 4, I64 = 8 }

-- How many pieces of `size` hold `count`.
function sizes.pieces(count, size) return (count + size - 1) // size end

-- `count` rounded up to a multiple of `size`.
function sizes.padded(count, size) return sizes.pieces(count, size) * size end

return sizes
