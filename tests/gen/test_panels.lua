-- gen/panels.lua against runtime/formats/panels.h, compiled by a C compiler.
-- luacheck: globals TestPanels
package.path = "./?.lua;" .. package.path

local lu = require "luaunit"
local panels = require "gen.panels"
local support = require "tests.support"

local MOST_COLUMNS <const> = 200

-- Prints the constants, then a line for each number of columns: the bytes of a panel in F32 and in BF16, and those in
-- MXFP4 for whole groups.
local PROGRAM <const> = [[
#include "formats/panels.h"
#include <stdio.h>
int main(void) {
  printf("%d %d %d\n", PANEL, PANEL_GROUP, PANEL_ALIGN);
  for (int k = 1; k <= MOST_COLUMNS; k++) {
    printf("%zu %zu", PANEL_BYTES_F32(k), PANEL_BYTES_BF16(k));
    if (k % PANEL_GROUP == 0)
      printf(" %zu", PANEL_BYTES_MXFP4(k));
    printf("\n");
  }
}
]]

local function lines_of_the_header()
  local source, program = support.write("panels.c", PROGRAM), support.scratch .. "/panels"
  local status, out, err = support.run(string.format("cc -std=c11 -Wall -Wextra -Werror -Iruntime "
    .. "-DMOST_COLUMNS=%d -o %s %s && %s", MOST_COLUMNS, program, source, program))
  lu.assertEquals({ status, err }, { 0, "" })
  return support.lines(out)
end

TestPanels = {}

function TestPanels.test_the_numbers_of_the_header()
  local lines, want = lines_of_the_header(), { string.format("%d %d %d", panels.PANEL, panels.GROUP, panels.ALIGN) }
  for k = 1, MOST_COLUMNS do
    local bytes = panels.PANEL_BYTES
    want[k + 1] = bytes.F32(k) .. " " .. bytes.BF16(k) .. (k % 32 == 0 and " " .. bytes.MXFP4(k) or "")
  end
  lu.assertEquals(lines, want)
end

-- Each matrix is padded on its own to whole panels. Odd columns of BF16 are padded to an even number, and the scales of
-- MXFP4 to 64 bytes; F32 has no padding of columns.
function TestPanels.test_matrices()
  lu.assertEquals(panels.bytes(3, 17, 33, "BF16"), 3 * 2 * 16 * 34 * 2)
  lu.assertEquals(panels.bytes(3, 17, 33, "F32"), 3 * 2 * 16 * 33 * 4)
  lu.assertEquals(panels.bytes(1, 16, 1, "BF16"), 64)
  lu.assertEquals(panels.bytes(1, 16, 32, "MXFP4"), 16 * 32 // 2 + 64) -- 16 scales
  lu.assertEquals(panels.bytes(2, 15, 128, "MXFP4"), 2 * (16 * 128 // 2 + 64)) -- 64 scales
  lu.assertEquals(panels.bytes(1, 1, 160, "MXFP4"), 16 * 160 // 2 + 128) -- 80 scales
end

-- The offset of any panel is a multiple of the alignment.
function TestPanels.test_alignment()
  for k = 1, 100 do
    lu.assertEquals(panels.PANEL_BYTES.F32(k) % panels.ALIGN, 0)
    lu.assertEquals(panels.PANEL_BYTES.BF16(k) % panels.ALIGN, 0)
    lu.assertEquals(panels.PANEL_BYTES.MXFP4(32 * k) % panels.ALIGN, 0)
  end
end

os.exit(lu.LuaUnit.run())
