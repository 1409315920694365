-- What a reviewer sees when a config changes: trees of gpt-oss-20b and of three changed configs, made by
-- gen/main.lua and compared line by line. The counts are printed.
-- luacheck: globals TestDiffs
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local json = require "dkjson"
local lfs = require "lfs"
local lu = require "luaunit"

local SCRATCH <const> = "build/tests/diffs"

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- Generates the tree of gpt-oss-20b after `change`, and returns its folder. The config has the same label
-- in every tree, so that first lines do not differ.
local function generate(name, change)
  local config = json.decode(chain.read(chain.GPT_OSS_20B))
  change(config)
  local root = SCRATCH .. "/" .. name
  assert(os.execute("rm -rf " .. root .. " && mkdir -p " .. root .. "/configs"))
  write(root .. "/configs/gpt-oss-20b.json", json.encode(config))
  assert(os.execute(string.format("lua5.4 gen/main.lua --config %s/configs/gpt-oss-20b.json --target cpu --out %s",
    root, root)))
  return root .. "/gpt-oss-20b-cpu"
end

-- Lines removed, added, and changed (a line that is removed here and added there counts once) between two
-- files; a missing file is empty.
local function count(from, to)
  local removed, added, changed = 0, 0, 0
  local pipe = assert(io.popen(string.format("diff --minimal --new-file %s %s", from, to)))
  local hunk_removed, hunk_added = 0, 0
  local function close_hunk()
    changed = changed + math.max(hunk_removed, hunk_added)
    removed, added = removed + hunk_removed, added + hunk_added
    hunk_removed, hunk_added = 0, 0
  end
  for line in pipe:lines() do
    if line:find("^%d") then close_hunk() end
    if line:find("^<") then hunk_removed = hunk_removed + 1 end
    if line:find("^>") then hunk_added = hunk_added + 1 end
  end
  pipe:close()
  close_hunk()
  return { removed = removed, added = added, changed = changed }
end

-- { [file] = counts } of the files that differ, how many they are, and how many lines in all.
local function compare(from, to)
  local names, differ, files, lines = {}, {}, 0, 0
  for _, folder in ipairs { from, to } do
    for name in lfs.dir(folder) do
      if not name:find("^%.") then names[name] = true end
    end
  end
  for name in pairs(names) do
    local counts = count(from .. "/" .. name, to .. "/" .. name)
    if counts.changed > 0 then
      differ[name], files, lines = counts, files + 1, lines + counts.changed
    end
  end
  return differ, files, lines
end

local function report(what, differ, files, lines)
  local names = {}
  for name, counts in pairs(differ) do
    names[#names + 1] = string.format("%s +%d -%d", name, counts.added, counts.removed)
  end
  table.sort(names)
  print(string.format("# %s: %d files, %d lines (%s)", what, files, lines, table.concat(names, ", ")))
end

local BASE <const> = generate("base", function() end)

TestDiffs = {}

function TestDiffs.test_sliding_window()
  local differ, files, lines = compare(BASE, generate("window", function(c) c.sliding_window = 256 end))
  report("sliding_window 128 -> 256", differ, files, lines)
  lu.assertTrue(files >= 2 and files <= 4)
  lu.assertTrue(lines < 10)
  lu.assertNotNil(differ["attn_sliding.c"])
  lu.assertNil(differ["schedule.inc"])
  lu.assertNil(differ["weights.inc"])
end

function TestDiffs.test_experts()
  local differ, files, lines = compare(BASE, generate("experts", function(c) c.num_local_experts = 128 end))
  report("num_local_experts 32 -> 128", differ, files, lines)
  lu.assertNil(differ["schedule.inc"])
  lu.assertNil(differ["kv.h"])
  lu.assertNil(differ["kernels.h"])
  lu.assertNil(differ["build.ninja"])
  lu.assertTrue(differ["model.h"].changed == 1)
end

-- The lines of a file that match.
local function lines_of(path, pattern)
  local lines = {}
  for line in io.lines(path) do
    if line:find(pattern) then lines[#lines + 1] = line end
  end
  return lines
end

local function assert_begins_with(got, want)
  lu.assertTrue(#got > #want)
  lu.assertEquals(table.move(got, 1, #want, 1, {}), want)
end

function TestDiffs.test_layers()
  local longer = generate("layers", function(c)
    c.num_hidden_layers = 36
    for i = 25, 36 do c.layer_types[i] = c.layer_types[i - 24] end
  end)
  local differ, files, lines = compare(BASE, longer)
  report("24 -> 36 layers", differ, files, lines)
  -- twelve paragraphs of a blank line, a title and 12 steps; twelve times 19 tensors
  lu.assertEquals(differ["schedule.inc"], { removed = 0, added = 12 * 14, changed = 12 * 14 })
  lu.assertEquals(differ["weights.inc"], { removed = 0, added = 12 * 19, changed = 12 * 19 })
  assert_begins_with(lines_of(longer .. "/kv.h", "^#define KV_%d"), lines_of(BASE .. "/kv.h", "^#define KV_%d"))
  -- model.h: the number of layers, and a line of letters; kv.h: the length, and a line a layer
  lu.assertEquals(differ["model.h"], { removed = 1, added = 2, changed = 2 })
  lu.assertEquals(differ["kv.h"], { removed = 1, added = 13, changed = 13 })
  lu.assertNil(differ["kernels.h"])
  lu.assertNil(differ["arena.h"])
end

os.exit(lu.LuaUnit.run())
