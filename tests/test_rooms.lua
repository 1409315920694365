-- tests/rooms.lua finds each kind of violation, in small trees of files, and nothing else.
-- luacheck: globals TestRooms

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local rooms = require "tests.rooms"
local support = require "tests.support"

local ROOT <const> = support.scratch .. "/rooms"

TestRooms = {}

local function clear() assert(os.execute("rm -rf " .. ROOT)) end

TestRooms.setUp, TestRooms.tearDown = clear, clear

-- Writes a tree of files, each given by its includes, one per line, and compares the messages of the check.
local function check(files, want)
  for path, includes in pairs(files) do
    os.execute("mkdir -p " .. ROOT .. "/" .. (path:match("^(.*)/") or ""))
    local lines = {}
    for i, name in ipairs(includes) do
      lines[i] = name:find("^[%u_]+$") and "#include " .. name or '#include "' .. name .. '"'
    end
    support.write("rooms/" .. path, table.concat(lines, "\n") .. "\n")
  end
  for i, message in ipairs(want) do want[i] = ROOT .. "/" .. message end
  lu.assertEquals(rooms.check(ROOT), want)
end

function TestRooms.test_no_violation()
  check({
    ["base/error.h"] = {}, ["base/lines.h"] = { "base/error.h" }, ["base/lines.c"] = { "base/lines.h", "base/error.h" },
    ["formats/tiles.h"] = {}, ["checkpoint/config.h"] = { "base/error.h" }, ["tokenizer/bpe.h"] = { "base/error.h" },
    ["engine/pass.h"] = { "formats/tiles.h" }, ["engine/passes.c"] = { "model.h", "weights.inc", "engine/pass.h" },
    ["serve/batch.h"] = { "engine/pass.h", "checkpoint/config.h" }, ["session.h"] = { "serve/batch.h", "options.h" },
    ["options.h"] = {}, ["mode/chat.c"] = { "session.h", "tokenizer/bpe.h" }, ["main.c"] = { "mode/mode.h" },
    ["mode/mode.h"] = { "options.h" }, ["target/hip.h"] = {}, ["target/gfx90a/machine.h"] = { "target/hip.h" },
    ["target/mixed/machine.h"] = { "target/gfx90a/machine.h" },
    ["target/mixed/tiling.h"] = { "TARGET_STAGED", "engine/pass.h", "formats/tiles.h" },
  }, {})
end

function TestRooms.test_path_not_from_runtime()
  check({ ["base/error.h"] = {}, ["base/lines.c"] = { "error.h", "../base/error.h", "base/none.h" } }, {
    "base/lines.c:1: includes error.h: want a path from runtime/",
    "base/lines.c:2: includes ../base/error.h: want a path from runtime/",
    "base/lines.c:3: includes base/none.h: want a path from runtime/",
  })
end

function TestRooms.test_room_above()
  check({
    ["base/error.h"] = { "formats/tiles.h" }, ["formats/tiles.h"] = {}, ["session.h"] = { "mode/mode.h" },
    ["mode/mode.h"] = {}, ["serve/batch.c"] = { "reference/parity.h" }, ["reference/parity.h"] = {},
  }, {
    "base/error.h:1: includes formats/tiles.h: a room above",
    "serve/batch.c:1: includes reference/parity.h: a room above",
    "session.h:1: includes mode/mode.h: a room above",
  })
end

function TestRooms.test_same_floor()
  check({
    ["checkpoint/config.h"] = {}, ["checkpoint/bin.c"] = { "tokenizer/bpe.h" },
    ["tokenizer/bpe.h"] = { "checkpoint/config.h" }, ["harmony/reply.c"] = { "tokenizer/bpe.h", "device/load.h" },
    ["device/load.h"] = {},
  }, {
    "checkpoint/bin.c:1: includes tokenizer/bpe.h: a room on the same floor",
    "harmony/reply.c:2: includes device/load.h: a room on the same floor",
    "tokenizer/bpe.h:1: includes checkpoint/config.h: a room on the same floor",
  })
end

function TestRooms.test_room_not_in_the_list()
  check({ ["base/error.h"] = {}, ["misc/a.c"] = { "base/error.h" }, ["main.c"] = { "misc/b.h" }, ["misc/b.h"] = {} }, {
    "main.c:1: includes misc/b.h: misc/ is not in the list of rooms",
    "misc/a.c:1: includes base/error.h: misc/ is not in the list of rooms",
  })
end

function TestRooms.test_generated_header_outside_the_engine()
  check({ ["serve/batch.c"] = { "model.h", "costs.inc" } }, {
    "serve/batch.c:1: includes model.h: only engine/ is compiled for a tree",
    "serve/batch.c:2: includes costs.inc: only engine/ is compiled for a tree",
  })
end

function TestRooms.test_macro()
  check({ ["target/mixed/tiling.h"] = { "TARGET_OTHER" } }, {
    "target/mixed/tiling.h:1: includes TARGET_OTHER: a macro that is not in the list",
  })
end

function TestRooms.test_target()
  check({
    ["base/error.h"] = {}, ["device/hip.c"] = { "target/hip.h" }, ["target/hip.h"] = { "base/error.h" },
    ["target/gfx90a/mixed.h"] = { "target/sm_90/machine.h" }, ["target/sm_90/machine.h"] = {},
    ["target/mixed/matrix.h"] = { "target/sm_90/machine.h" },
  }, {
    "device/hip.c:1: includes target/hip.h: only kernels include target/",
    "target/gfx90a/mixed.h:1: includes target/sm_90/machine.h: that is another machine",
    "target/hip.h:1: includes base/error.h: target/ includes only itself, formats/, engine/claims.h and engine/pass.h",
    "target/mixed/matrix.h:1: includes target/sm_90/machine.h: a file that machines share names no machine",
  })
end

-- No file includes itself here: a header closes the circle through the other module's .c file.
function TestRooms.test_circle()
  check({
    ["base/a.h"] = {}, ["base/a.c"] = { "base/a.h", "base/b.h" }, ["base/b.h"] = { "base/c.h" },
    ["base/c.h"] = {}, ["base/c.c"] = { "base/a.h" },
  }, { "base/c.c:1: includes base/a.h: a circle: base/a -> base/b -> base/c -> base/a" })
end

function TestRooms.test_two_circles()
  check({
    ["base/a.h"] = { "base/b.h" }, ["base/b.h"] = { "base/a.h" }, ["serve/c.h"] = { "serve/d.h" },
    ["serve/d.h"] = { "serve/c.h" },
  }, {
    "base/b.h:1: includes base/a.h: a circle: base/a -> base/b -> base/a",
    "serve/d.h:1: includes serve/c.h: a circle: serve/c -> serve/d -> serve/c",
  })
end

function TestRooms.test_large_room()
  local files = {}
  for i = 1, 14 do files[string.format("base/m%02d.h", i)] = {} end
  files["base/m01.c"] = { "base/m01.h" } -- the same module
  check(files, { "base: want at most 13 modules, found 14" })
end

os.exit(lu.LuaUnit.run())
