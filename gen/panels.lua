-- The numbers of runtime/formats/panels.h: matrices in panels, in the order in which matrix kernels of the cpu target
-- read them.

local sizes = require "gen.sizes"

local panels = {}

panels.PANEL = 16 -- features of a panel
panels.GROUP = 32 -- columns that have one MXFP4 scale
panels.ALIGN = 64 -- panels begin at multiples of so many bytes

-- Bytes of a panel of k columns, by stored dtype.
panels.PANEL_BYTES = {
  F32 = function(k) return k * panels.PANEL * sizes.BYTES.F32 end,
  BF16 = function(k) return sizes.padded(k, 2) * panels.PANEL * sizes.BYTES.BF16 end,
  MXFP4 = function(k)
    return k * panels.PANEL // 2 + sizes.padded(k // panels.GROUP * panels.PANEL, panels.ALIGN)
  end,
}

-- Panels of n features.
function panels.count(n) return sizes.pieces(n, panels.PANEL) end

-- Bytes of `matrices` matrices of n features and k columns.
function panels.bytes(matrices, n, k, stored)
  return matrices * panels.count(n) * panels.PANEL_BYTES[stored](k)
end

return panels
