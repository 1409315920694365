-- The numbers of runtime/formats/tiles.h: matrices in tiles, in the order in which matrix kernels read them.

local pieces = require("gen.sizes").pieces

local tiles = {}

tiles.TILE = 16 -- features of a tile
tiles.KBLOCK = 64 -- columns of K that lie together and are multiplied together
tiles.HEAD_BYTES = 64 -- before the kblocks of a tile
tiles.KBLOCK_BYTES = { -- one kblock of a tile, by stored dtype
  F16 = tiles.TILE * tiles.KBLOCK * 2,
  MXFP4 = tiles.TILE * tiles.KBLOCK // 2 + tiles.TILE * tiles.KBLOCK // 32,
}

-- Tiles of n features; kblocks of k columns.
function tiles.count(n) return pieces(n, tiles.TILE) end
function tiles.kblocks(k) return pieces(k, tiles.KBLOCK) end

-- Bytes of `matrices` matrices of n features and k columns.
function tiles.bytes(matrices, n, k, stored)
  return matrices * tiles.count(n) * (tiles.HEAD_BYTES + tiles.kblocks(k) * tiles.KBLOCK_BYTES[stored])
end

return tiles
