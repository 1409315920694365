-- gen/target.lua: the records of all targets and precisions pass its gate; a misspelt, a missing and a wrongly typed
-- field are refused by name.
-- luacheck: globals TestRecords TestRefused
package.path = "./?.lua;" .. package.path

local lfs = require "lfs"
local lu = require "luaunit"
local options = require "gen.options"
local tables = require "gen.tables"
local target = require "gen.target"

-- f(record, file) for each target and precision.
local function each_record(f)
  for _, name in ipairs(options.TARGETS) do
    local precisions = require("gen.target." .. name)
    for _, precision in ipairs(tables.sorted_keys(precisions)) do
      f(precisions[precision], string.format("gen/target/%s.lua", name), precision)
    end
  end
end

TestRecords = {}

function TestRecords.test_all_pass()
  local n = 0
  each_record(function(record, file, precision)
    target.check(record, file)
    lu.assertEquals(string.format("gen/target/%s.lua", record.name), file)
    lu.assertEquals(record.precision, precision)
    n = n + 1
  end)
  lu.assertEquals(n, 5)
end

function TestRecords.test_the_command_line_knows_every_target()
  local names = {}
  for name in lfs.dir("gen/target") do
    if name:find("%.lua$") and not name:find("figures") then names[name:gsub("%.lua$", "")] = true end
  end
  for _, name in ipairs(options.TARGETS) do
    lu.assertTrue(names[name], name)
    names[name] = nil
  end
  lu.assertEquals(names, {})
end

TestRefused = {}

-- A copy of a record after `change`.
local function changed(record, change)
  local copy = {}
  for key, value in pairs(record) do copy[key] = value end
  change(copy)
  return copy
end

local function assert_refused(lines, change, name, precision)
  local record = changed(require("gen.target." .. (name or "gfx90a"))[precision or "mixed"], change)
  local ok, found = pcall(target.check, record, "T.lua")
  lu.assertEquals({ ok, found }, { false, table.concat(lines, "\n") })
end

function TestRefused.test_missing()
  assert_refused({ "T.lua: compute_units: want an integer, got nothing" }, function(t) t.compute_units = nil end)
  assert_refused({ "T.lua: alone: want a number, got nothing" }, function(t) t.alone = nil end)
  assert_refused({ "T.lua: name: want a text, got nothing" }, function(t) t.name = nil end, "cpu")
  assert_refused({ "T.lua: kernel: want a table of functions, got nothing" }, function(t) t.kernel = nil end)
  assert_refused({ "T.lua: defaults.slots: want an integer, got nothing" },
    function(t) t.defaults = { context = 1, rows = 1, chunk = 1 } end)
end

function TestRefused.test_misspelt()
  assert_refused({ "T.lua: compute_units: want an integer, got nothing",
    "T.lua: compute_unit: want a field of gen/target.lua, got 104" },
    function(t) t.compute_unit, t.compute_units = 104, nil end)
  assert_refused({ 'T.lua: sort_rows: want a field of gen/target.lua, got true' },
    function(t) t.sort_rows, t.sorts_rows = true, nil end, "cpu")
  assert_refused({ "T.lua: kv.key_width: want an integer, got nothing",
    "T.lua: kv.key_wdith: want a field of gen/target.lua, got 32" },
    function(t) t.kv = { block = 32, key_wdith = 32, value_depth = 16, pad = 0 } end)
end

function TestRefused.test_wrong_types()
  for _, case in ipairs {
    { "memory", 1.5, "an integer", "1.5" }, { "memory", "64", "an integer", '"64"' }, { "name", 7, "a text", "7" },
    { "fused", "yes", "true or false", '"yes"' }, { "experts", 3, "a table", "3" },
    { "stored", {}, "a function", "a table" }, { "kv", print, "a table of integers", "a function" },
    { "figures", false, "a table", "false" },
  } do
    local name, value, want, found = table.unpack(case)
    assert_refused({ string.format("T.lua: %s: want %s, got %s", name, want, found) },
      function(t) t[name] = value end)
  end
  assert_refused({ "T.lua: kernel.embed: want a function, got 1" }, function(t) t.kernel = { embed = 1 } end)
end

-- Precision fp32 does not need the facts of the fused kernels, but may have them.
function TestRefused.test_only_fused_records_need_tilings()
  local function without(t) t.forms, t.experts, t.kv = nil, nil, nil end
  target.check(changed(require("gen.target.gfx90a").fp32, without), "T.lua")
  assert_refused({ "T.lua: forms: want a table, got nothing", "T.lua: experts: want a table, got nothing",
    "T.lua: kv: want a table of integers, got nothing" }, without)
end

os.exit(lu.LuaUnit.run())
