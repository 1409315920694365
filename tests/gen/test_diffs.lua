-- The diffs that a reviewer sees when a config changes: trees of gpt-oss-20b and of three changed configs, on cpu and
-- in precision mixed on gfx90a, made by gen/main.lua and compared line by line. The counts are printed.
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

-- steps: per layer. more: steps that full attention adds, since no option bounds the context. tensors: per layer.
-- extension: that of a kernel file.
local TARGETS <const> = {
  { name = "cpu", steps = 12, more = 0, tensors = 17, extension = ".c" },
  { name = "gfx90a", steps = 8, more = 1, tensors = 17, extension = ".hip" },
}

-- Generates the tree of gpt-oss-20b on a target after `change`, and returns its folder. The config has the same path
-- for every tree, so that labels and commands do not differ.
local function generate(name, target, change)
  local config = json.decode(chain.read(chain.GPT_OSS_20B))
  change(config)
  local root = SCRATCH .. "/" .. name .. "-" .. target.name
  assert(os.execute("rm -rf " .. root .. " && mkdir -p " .. root))
  write(SCRATCH .. "/gpt-oss-20b.json", json.encode(config))
  assert(os.execute(string.format("lua5.4 gen/main.lua --config %s/gpt-oss-20b.json --target %s --out %s", SCRATCH,
    target.name, root)))
  return root .. "/gpt-oss-20b-" .. target.name
end

-- Lines removed, added, and changed between two files. A line that is removed and another that is added in its stead
-- count as one changed line. A missing file is empty.
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

-- { [file] = counts } of the files that differ, the number of these files, and of their lines.
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

for _, target in ipairs(TARGETS) do target.base = generate("base", target, function() end) end

TestDiffs = {}

function TestDiffs.test_sliding_window()
  for _, target in ipairs(TARGETS) do
    local differ, files, lines = compare(target.base,
      generate("window", target, function(c) c.sliding_window = 256 end))
    report(target.name .. ": sliding_window 128 -> 256", differ, files, lines)
    lu.assertTrue(files >= 2 and files <= 4)
    lu.assertTrue(lines < 10)
    lu.assertEquals(differ["attn_sliding" .. target.extension].changed, 2)
    lu.assertEquals(differ["model.h"].changed, 1)
    lu.assertNil(differ["schedule.inc"])
    lu.assertNil(differ["weights.inc"])
  end
end

function TestDiffs.test_experts()
  for _, target in ipairs(TARGETS) do
    local differ, files, lines = compare(target.base,
      generate("experts", target, function(c) c.num_local_experts = 128 end))
    report(target.name .. ": num_local_experts 32 -> 128", differ, files, lines)
    for _, name in ipairs { "schedule.inc", "kv.h", "kernels.h", "build.ninja" } do lu.assertNil(differ[name], name) end
    for _, role in ipairs { "embed", "matmul_qkv", "attn_sliding", "attn_full", "matmul_o", "moe_combine" } do
      lu.assertNil(differ[role .. target.extension], role)
    end
    lu.assertEquals(differ["model.h"].changed, 1)
  end
end

-- The lines of a file that match.
local function lines_of(path, pattern)
  local lines = {}
  for line in io.lines(path) do
    if line:find(pattern) then lines[#lines + 1] = line end
  end
  return lines
end

local function assert_begins_with(found, want)
  lu.assertTrue(#found > #want)
  lu.assertEquals(table.move(found, 1, #want, 1, {}), want)
end

-- The longer of two lists has `entries` more entries, and its diff is an insertion but for `changed` lines.
local function assert_insertion(counts, base, longer, file, entries, changed)
  base, longer = base .. "/" .. file, longer .. "/" .. file
  local added = #lines_of(longer, "") - #lines_of(base, "")
  lu.assertEquals(#lines_of(longer, "^%S") - #lines_of(base, "^%S"), entries)
  lu.assertEquals(counts, { removed = changed, added = added + changed, changed = added + changed })
end

local function lengthen(config)
  config.num_hidden_layers = 36
  for i = 25, 36 do config.layer_types[i] = config.layer_types[i - 24] end
end

function TestDiffs.test_layers()
  for _, target in ipairs(TARGETS) do
    local base, longer = target.base, generate("layers", target, lengthen)
    local differ, files, lines = compare(base, longer)
    report(target.name .. ": 24 -> 36 layers", differ, files, lines)
    -- twelve paragraphs of a title and the steps, six with full attention; twelve times the tensors
    local steps, tensors = 12 * (1 + target.steps) + 6 * target.more, 12 * target.tensors
    -- A layer of gfx90a ends with the norm after it: the norm after layer 23 is another one now.
    local renamed = target.name == "gfx90a" and 1 or 0
    assert_insertion(differ["schedule.inc"], base, longer, "schedule.inc", steps, renamed)
    assert_insertion(differ["weights.inc"], base, longer, "weights.inc", tensors, 0)
    assert_begins_with(lines_of(longer .. "/kv.h", "^#define KV_%d"), lines_of(base .. "/kv.h", "^#define KV_%d"))
    -- model.h: the number of layers, and a line of letters; kv.h: the length, and a line per layer
    lu.assertEquals(differ["model.h"], { removed = 1, added = 2, changed = 2 })
    lu.assertEquals(differ["kv.h"], { removed = 1, added = 13, changed = 13 })
    for name in pairs(differ) do lu.assertFalse(name:sub(-#target.extension) == target.extension, name) end
    lu.assertNil(differ["kernels.h"])
    lu.assertNil(differ["arena.h"])
  end
end

os.exit(lu.LuaUnit.run())
