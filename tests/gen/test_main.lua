-- gen/main.lua: the command line and its errors, the files that it writes, removes and leaves alone, the same bytes
-- from the same input, and --check on a copy of the generator. The user's own trees are in test_own_trees.lua.
-- luacheck: globals TestErrors TestPrinting TestNames TestWriting TestSameBytes TestCheck TestCommitted
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local lfs = require "lfs"
local lu = require "luaunit"
local program = require "tests.gen.program"

local run, succeed, refused = program.run, program.succeed, program.refused
local contents, write = program.contents, program.write

local SCRATCH <const>, COPY <const> = program.scratch, "build/tests/check"
local ABACUS <const> = "--config tests/models/abacus --target cpu"
local ON_GPU <const> = "--config tests/models/abacus --target gfx90a"

-- An empty folder for a test's trees.
local function fresh(name)
  local folder = SCRATCH .. "/" .. name
  assert(os.execute("rm -rf " .. folder))
  return folder
end

TestErrors = {}

function TestErrors.test_arguments()
  refused("", "--config: want PATH, got nothing; see --help")
  refused("--target cpu", "--config: want PATH, got nothing; see --help")
  refused("--config tests/models/abacus", "--target: want gfx90a, sm_90 or cpu, got nothing; see --help")
  refused("--bogus", "--bogus: unknown option; see --help")
  refused("abacus", "abacus: unknown option; see --help")
  refused("--config", "--config: want a value after it, got nothing; see --help")
  refused("--config '' --target cpu", "--config: want a value after it, got nothing; see --help")
  refused(ABACUS .. " --out ''", "--out: want a value after it, got nothing; see --help")
  refused("--config \"$(printf 'a\\nb')\" --target cpu",
    '--config: want a path in UTF-8 without control characters, got "a\\x0ab"')
end

function TestErrors.test_numbers()
  for _, word in ipairs { "0", "-1", "1.5", "1e3", "0x10", "many", "99999999999999999999" } do
    refused(ABACUS .. " --slots " .. word, string.format("--slots: want a positive integer, got %q", word))
  end
  refused(ABACUS .. " --slots 65537", "--slots: want 1 to 65536, got 65537")
  refused(ABACUS .. " --context 513", "--context: want 1 to 512 (max_position_embeddings), got 513")
end

function TestErrors.test_words()
  refused("--config tests/models/abacus --target gfx", '--target: want gfx90a, sm_90 or cpu, got "gfx"')
  refused(ABACUS .. " --precision fp32",
    '--precision: want mixed on target cpu, got "fp32"')
  for _, precision in ipairs { "fp16", "FP32", "mixed,fp32" } do
    refused(ON_GPU .. " --precision " .. precision,
      string.format("--precision: want fp32 or mixed on target gfx90a, got %q", precision))
  end
  refused(ABACUS .. " --dump stars",
    '--dump: want one of config model weights ops kernels limits plan steps costs files, got "stars"')
  for _, name in ipairs { "a/b", "..", ".hidden", "-x", "a b", "a$b" } do
    refused(string.format("%s --name '%s'", ABACUS, name),
      string.format("--name: want letters, digits, '-', '_' and '.', got %q", name))
  end
end

function TestErrors.test_a_folder_whose_name_is_no_tree_s()
  local folder = "build/tests/My model"
  assert(os.execute(string.format("mkdir -p '%s' && cp tests/models/abacus/config.json '%s'", folder, folder)))
  refused(string.format("--config '%s' --target cpu", folder), folder .. ": want letters, digits, '-', '_' and '.' "
    .. "in the tree's name, got \"My model-cpu\": give the tree a --name")
end

function TestErrors.test_configs()
  refused("--config tests/none.json --target cpu",
    "tests/none.json: cannot read the file: No such file or directory")
  refused("--config tests --target cpu --name x",
    "tests/config.json: cannot read the file: No such file or directory")
  refused("--config tests/refused/many.json --target cpu",
    (chain.read("tests/refused/many.txt"):gsub("many%.json", "tests/refused/many.json"):gsub("\n$", "")))
end

function TestErrors.test_a_config_that_names_no_tree()
  for _, path in ipairs { ".", "./", "..", "/", "config.json", "gen/.json" } do
    refused(string.format("--config %s --target cpu", path),
      string.format("--config: want a path with a name for the tree, or a --name, got %q", path))
  end
end

function TestErrors.test_folders()
  refused(ABACUS .. " --out build.ninja", "build.ninja: cannot make the folder: File exists")
end

TestPrinting = {}

function TestPrinting.test_help()
  local text = succeed("--help")
  lu.assertEquals(text:match("^[^\n]*"), "usage: lua5.4 gen/main.lua --config PATH --target TARGET [options]")
  local flags = 0
  for flag in chain.read("gen/options.lua"):gmatch('%["(%-%-%l+)"%] =') do
    lu.assertStrMatches(text, ".*" .. flag .. "%s.*")
    flags = flags + 1
  end
  lu.assertTrue(flags >= 13, "too few flags found")
  lu.assertStrContains(text, "\n  --precision P    mixed (default); on GPUs also fp32, the baseline\n")
  lu.assertStrContains(text, "\n                   config model weights ops kernels limits plan steps costs files\n")
end

function TestPrinting.test_list()
  local mixed = ", mixed: MXFP4 experts in tiles, other matrices, activations and KV cache F16, sums and residual "
    .. "stream FP32\n"
  local baseline = ", fp32: MoE matrices BF16, other weights, activations and KV cache FP32\n"
  lu.assertEquals(succeed("--list"), "target gfx90a" .. mixed .. "target gfx90a" .. baseline .. "target sm_90" .. mixed
    .. "target sm_90" .. baseline .. "target cpu, mixed: weights as in the checkpoint, arithmetic and KV cache FP32\n"
    .. "tree abacus-cpu: tests/models/abacus/config.json\ntree abacus-gfx90a: tests/models/abacus/config.json\n"
    .. "tree abacus-gfx90a-fp32: tests/models/abacus/config.json\n"
    .. "tree abacus_chat-cpu: tests/models/abacus_chat/config.json\n"
    .. "tree gpt-oss-20b-gfx90a: gen/configs/gpt-oss-20b.json\n"
    .. "tree gpt-oss-20b-gfx90a-fp32: gen/configs/gpt-oss-20b.json\n")
end

local function assert_dump(words, stage)
  words = words .. " --dump " .. stage
  local text = succeed(words)
  lu.assertStrMatches(text, "{\n.+\n}\n")
  lu.assertEquals(succeed(words), text)
  for _, address in ipairs { "table: 0", "function: 0" } do lu.assertNil(text:find(address, 1, true), words) end
  local last, entry = "", stage == "files" and '\n  (%S+) = "[/#]+ Code' or "\n  (%S+) = "
  for key in text:gmatch(entry) do
    lu.assertTrue(last < key, words .. ": " .. last .. " is before " .. key)
    last = key
  end
end

function TestPrinting.test_dump()
  local folder = fresh("dump")
  for _, stage in ipairs { "config", "model", "weights", "ops", "kernels", "limits", "plan", "steps", "costs",
    "files" } do
    for _, words in ipairs { ABACUS, ON_GPU, ON_GPU .. " --precision fp32" } do
      assert_dump(words .. " --out " .. folder, stage)
    end
  end
  lu.assertNil(lfs.attributes(folder))
end

function TestPrinting.test_dump_takes_the_options()
  lu.assertEquals(succeed(ABACUS .. " --slots 300 --context 100 --dump limits"),
    "{\n  chunk = 100\n  context = 100\n  logits = 300\n  rows = 300\n  slots = 300\n}\n")
end

TestNames = {}

local function folders(out)
  local names = {}
  for name in lfs.dir(out) do
    if not name:find("^%.") and lfs.attributes(out .. "/" .. name, "mode") == "directory" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

function TestNames.test_after_the_folder_or_the_file()
  local out = fresh("names")
  succeed(string.format("%s --out %s", ABACUS, out))
  succeed(string.format("--config tests/models/rand_bf16/ --target cpu --out %s", out))
  succeed(string.format("--config tests/models/rand_tied/config.json --target cpu --out %s/", out))
  succeed(string.format("--config gen/configs/gpt-oss-20b.json --target cpu --out %s", out))
  succeed(string.format("%s --out %s --name other_1.x", ABACUS, out))
  local names = { "abacus-cpu", "gpt-oss-20b-cpu", "other_1.x", "rand_bf16-cpu", "rand_tied-cpu" }
  lu.assertEquals(folders(out), names)
  local lines = { "# Code generated by gen/main.lua. DO NOT EDIT." }
  for i, name in ipairs(names) do lines[i + 1] = "subninja $trees/" .. name .. "/build.ninja" end
  lu.assertEquals(chain.read(out .. "/trees.ninja"), table.concat(lines, "\n") .. "\n")
end

-- A folder may hold OpenAI's config alone; a .bin file has a name of its own.
function TestNames.test_original_and_bin()
  local out, folder = fresh("names"), fresh("my-model")
  assert(os.execute(string.format("mkdir -p %s/original && cp tests/gen/configs/gpt-oss-20b-original.json "
    .. "%s/original/config.json", folder, folder)))
  succeed(string.format("--config %s --target cpu --out %s", folder, out))
  lu.assertStrContains(chain.read(out .. "/my-model-cpu/model.h"), "original/config.json, cpu.")
  local before = contents(out)
  succeed(string.format("--config %s/original --target cpu --out %s --name my-model-cpu", folder, out))
  before["my-model-cpu/build.ninja"] = contents(out)["my-model-cpu/build.ninja"] -- it has the command
  lu.assertEquals(contents(out), before)
  local header = string.pack("<i4i4i4i4i4i4i4i4i4i4i4ffi4f", 7, 10, 3, 1, 6, 1, 16, 2, 1, 64, 64, 1e4, 1, 0, 7)
  write(folder .. "/m.bin", header .. ("\0"):rep(4 * 1845))
  succeed(string.format("--config %s/m.bin --target cpu --out %s", folder, out))
  lu.assertEquals(folders(out), { "m-cpu", "my-model-cpu" })
  write(folder .. "/config.json", chain.read("tests/models/abacus/config.json"))
  succeed(string.format("--config %s --target cpu --out %s", folder, out))
  lu.assertStrContains(chain.read(out .. "/my-model-cpu/model.h"), "my-model/config.json, cpu.")
end

function TestNames.test_after_the_precision()
  local out = fresh("precisions")
  succeed(string.format("%s --out %s", ON_GPU, out))
  succeed(string.format("%s --out %s --precision fp32", ON_GPU, out))
  succeed(string.format("%s --out %s --precision mixed --name same", ON_GPU, out))
  lu.assertEquals(folders(out), { "abacus-gfx90a", "abacus-gfx90a-fp32", "same" })
  local first = "// Code generated by gen/main.lua from templates/%s/embed.hip.in, abacus/config.json, gfx90a. "
  for name, precision in pairs { ["abacus-gfx90a"] = "mixed", ["abacus-gfx90a-fp32"] = "fp32", same = "mixed" } do
    lu.assertStrContains(chain.read(out .. "/" .. name .. "/embed.hip"), first:format(precision))
  end
end

TestWriting = {}

function TestWriting.test_slots_and_context()
  local out = fresh("limits")
  succeed(string.format("%s --out %s --slots 200 --context 96", ABACUS, out))
  local text = chain.read(out .. "/abacus-cpu/model.h")
  for _, line in ipairs { "SLOTS = 200, // sequences at the same time", "CONTEXT = 96, // positions per sequence",
    "ROWS = 200, // rows per pass", "CHUNK = 96, // rows of one sequence per pass" } do
    lu.assertStrContains(text, "\n  LIMIT_" .. line .. "\n")
  end
end

function TestWriting.test_a_second_run_writes_nothing()
  local out = fresh("again")
  local words = string.format("%s --out %s", ABACUS, out)
  succeed(words)
  assert(os.execute("find " .. out .. " -type f -exec touch -d @1000000000 {} +"))
  succeed(words)
  for path in pairs(contents(out)) do
    lu.assertEquals(lfs.attributes(out .. "/" .. path, "modification"), 1000000000, path)
  end
  succeed(words .. " --slots 17")
  local changed = {}
  for path in pairs(contents(out)) do
    if lfs.attributes(out .. "/" .. path, "modification") ~= 1000000000 then changed[#changed + 1] = path end
  end
  table.sort(changed)
  lu.assertEquals(changed, { "abacus-cpu/build.ninja", "abacus-cpu/model.h", "abacus-cpu/summary.txt" })
end

function TestWriting.test_files_no_longer_made_are_removed()
  local out = fresh("removed")
  succeed(string.format("%s --out %s --name tree", ABACUS, out))
  lu.assertNotNil(lfs.attributes(out .. "/tree/attn_sliding.c"))
  succeed(string.format("--config tests/models/odd_no_window --target cpu --out %s --name tree", out))
  lu.assertNil(lfs.attributes(out .. "/tree/attn_sliding.c"))
  lu.assertNotNil(lfs.attributes(out .. "/tree/attn_full.c"))
end

function TestWriting.test_files_of_others_are_left_alone()
  local out = fresh("foreign")
  local words = string.format("%s --out %s --name tree", ABACUS, out)
  local message = "/tree/%s: not made by the generator: remove it, or give another --name"
  assert(os.execute("mkdir -p " .. out .. "/tree"))
  write(out .. "/tree/kernels.h", "int mine;\n")
  refused(words, string.format(out .. message, "kernels.h"))
  lu.assertEquals(contents(out), { ["tree/kernels.h"] = "int mine;\n" })
  os.remove(out .. "/tree/kernels.h")
  lfs.mkdir(out .. "/tree/notes")
  refused(words, string.format(out .. message, "notes"))
  lfs.rmdir(out .. "/tree/notes")
  succeed(words)
end

TestSameBytes = {}

-- The bytes are the same but for the path in the command, which is remembered as it is given.
local function assert_same_bytes(target)
  local out, first, runs = fresh("same"), nil, {}
  for i = 1, 10 do runs[i] = { "tests/models/abacus" } end
  runs[11] = { "tests/models/abacus", "LC_ALL=C.utf8 LANG=de_DE TZ=Asia/Tokyo HOME=/nonexistent" }
  for _, path in ipairs { lfs.currentdir() .. "/tests/models/abacus", "tests/models/abacus/config.json",
    "tests/../tests/models/abacus//" } do
    runs[#runs + 1] = { path }
  end
  for _, each in ipairs(runs) do
    local words = string.format("--config %s --target %s --out %s", each[1], target, out)
    assert(os.execute("rm -rf " .. out))
    succeed(words, each[2])
    local found = contents(out)
    for path, text in pairs(found) do found[path] = text:gsub("\n(# Made by: [^\n]* %-%-config )%S+", "\n%1PATH") end
    first = first or found
    lu.assertEquals(found, first, words)
  end
end

function TestSameBytes.test_ten_runs_and_another_environment()
  for _, target in ipairs { "cpu", "gfx90a", "gfx90a --precision fp32" } do assert_same_bytes(target) end
end

TestCheck = {}

local INSIDE <const> = "cd " .. COPY .. " &&"

-- --check prints `lines` in a copy of the generator, whose trees were current before the shell command `change` ran
-- there.
local function assert_check(lines, change)
  assert(os.execute(string.format("rm -rf %s && mkdir -p %s/generated && cp -r gen templates %s && cp --parents "
    .. "tests/models/abacus/config.json tests/models/abacus_chat/config.json %s", COPY, COPY, COPY, COPY)))
  succeed("--regen", INSIDE)
  assert(os.execute(string.format("cd %s && %s", COPY, change)))
  if #lines == 0 then
    lu.assertEquals(succeed("--check", INSIDE), "")
  else
    refused("--check", table.concat(lines, "\n") .. "\ngenerated/ is not current: run `ninja regen`", INSIDE)
  end
end

local function regen_mends()
  lu.assertEquals(succeed("--regen", INSIDE), "")
  lu.assertEquals(succeed("--check", INSIDE), "")
end

function TestCheck.test_current() assert_check({}, "true") end

function TestCheck.test_stale_files()
  assert_check({ "generated/abacus-cpu/embed.c: stale", "generated/abacus-cpu/kv.h: stale" },
    "echo >>generated/abacus-cpu/kv.h && sed -i s/D_MODEL/WIDTH/ generated/abacus-cpu/embed.c")
  regen_mends()
end

function TestCheck.test_missing_files()
  assert_check({ "generated/abacus-cpu/arena.h: missing" }, "rm generated/abacus-cpu/arena.h")
  regen_mends()
end

function TestCheck.test_a_missing_tree()
  assert_check({}, "true")
  assert(os.execute("rm -r " .. COPY .. "/generated/abacus-cpu"))
  local status, _, err = run("--check", INSIDE)
  lu.assertEquals(status, 1)
  lu.assertStrContains(err, "generated/abacus-cpu/build.ninja: missing\n")
  regen_mends()
end

function TestCheck.test_extra_files()
  assert_check({ "generated/abacus-cpu/spare.c: not made by the generator",
    "generated/abacus-cpu/notes: not made by the generator" },
    "cp generated/abacus-cpu/embed.c generated/abacus-cpu/spare.c && mkdir generated/abacus-cpu/notes")
  assert_check({ "generated/abacus-cpu/spare.c: not made by the generator" },
    "cp generated/abacus-cpu/embed.c generated/abacus-cpu/spare.c")
  regen_mends()
end

function TestCheck.test_trees_ninja()
  assert_check({ "generated/trees.ninja: stale" }, "echo >>generated/trees.ninja")
  regen_mends()
  assert_check({ "generated/trees.ninja: stale" }, "rm generated/trees.ninja")
  regen_mends()
end

function TestCheck.test_a_folder_that_is_no_tree() assert_check({}, "mkdir generated/notes") end

function TestCheck.test_an_edited_template()
  local lines = {}
  for _, name in ipairs { "abacus-cpu", "abacus-gfx90a-fp32", "abacus_chat-cpu", "gpt-oss-20b-gfx90a-fp32" } do
    lines[#lines + 1] = "generated/" .. name .. "/kv.h: stale"
    lines[#lines + 1] = "generated/" .. name .. "/summary.txt: stale" -- it has the checksum
  end
  assert_check(lines,
    "sed -i 's/of a layer.s values from/of the values from/' templates/kv.h.in")
  regen_mends()
end

-- Ninja checks again when one of these files changes.
function TestCheck.test_depfile()
  assert_check({}, "true")
  succeed("--check --depfile check.stamp.d", INSIDE)
  local text = chain.read(COPY .. "/check.stamp.d")
  lu.assertEquals(text:match("^[^ ]+ "), "check.stamp: ")
  local names = {}
  for name in text:gmatch(" ([^ \n]+)") do
    lu.assertNotNil(lfs.attributes(COPY .. "/" .. name), name)
    names[name] = true
  end
  for _, name in ipairs { "gen/main.lua", "gen/trees.lua", "gen/emit.lua", "gen/target/cpu.lua", "templates",
    "templates/kv.h.in", "templates/cpu/attention.c.in", "tests/models/abacus/config.json", "generated",
    "generated/abacus-cpu", "generated/abacus-cpu/kv.h", "generated/trees.ninja", "generated/own.ninja" } do
    lu.assertTrue(names[name], name)
  end
end

function TestCheck.test_a_misspelt_field_of_a_target()
  assert_check({}, "true")
  assert(os.execute("sed -i 's/compute_units = 104/compute_unit = 104/' " .. COPY .. "/gen/target/gfx90a.lua"))
  for _, words in ipairs { "--check", "--list", ON_GPU .. " --precision fp32" } do
    refused(words, "gen/target/gfx90a.lua: compute_units: want an integer, got nothing\n"
      .. "gen/target/gfx90a.lua: compute_unit: want a field of gen/target.lua, got 104", INSIDE)
  end
end

function TestCheck.test_the_name_says_fp32()
  assert_check({}, "true")
  write(COPY .. "/gen/trees.lua", 'return { { config = "tests/models/abacus", target = "cpu", precision = "fp32" } }\n')
  lu.assertStrContains(succeed("--list", INSIDE), "\ntree abacus-cpu-fp32: tests/models/abacus/")
end

TestCommitted = {}

function TestCommitted.test_git_holds_the_trees_of_the_list()
  local want, found, seen = {}, {}, {}
  for name in succeed("--list"):gmatch("\ntree ([^:]+): ") do want[#want + 1] = name end
  local pipe = assert(io.popen("git ls-files generated"))
  for path in pipe:lines() do
    local name = path:match("^generated/([^/]+)/")
    if name and not seen[name] then found[#found + 1], seen[name] = name, true end
    lu.assertTrue(name ~= nil or path == "generated/trees.ninja" or path == "generated/own.ninja", path)
  end
  pipe:close()
  table.sort(want)
  table.sort(found)
  lu.assertEquals(found, want)
end

-- git ignores all other folders, and the list of own trees.
function TestCommitted.test_gitignore_agrees_with_the_list()
  local want = { "/build/", "/generated/*", "/generated/own.ninja", "!/generated/trees.ninja" }
  for name in succeed("--list"):gmatch("\ntree ([^:]+): ") do want[#want + 1] = "!/generated/" .. name .. "/" end
  local found = {}
  for _, line in ipairs(chain.lines_of(chain.read(".gitignore"))) do
    if not line:find("^#") then found[#found + 1] = line end
  end
  lu.assertEquals(found, want)
end

function TestCommitted.test_they_are_current() succeed("--check") end

-- A fresh clone has no own tree; the committed text of their list never changes, so that git has nothing to merge.
function TestCommitted.test_own_ninja_lists_no_tree()
  local status, text = program.shell("git show :generated/own.ninja")
  lu.assertEquals({ status, text }, { 0, "# Code generated by gen/main.lua. DO NOT EDIT. It lists your own trees. "
    .. "If ninja refuses it: lua5.4 gen/main.lua --regen\n" })
end

os.exit(lu.LuaUnit.run())
