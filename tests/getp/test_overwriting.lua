-- Where outputs go: links, modes, open files, devices, pipes. No input is overwritten, whatever its name.
-- luacheck: globals TestOwnFile TestReplaced TestStraight

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, OUT, ONE, ANSWER = abacus.MODEL, refusal.OUT, refusal.PROMPT, refusal.ANSWER
local FOLDER = support.scratch .. "/overwriting"

local function fresh_folder()
  refusal.remove_output()
  assert(os.execute(string.format("rm -rf %s && mkdir -p %s", FOLDER, FOLDER)))
end

local function remove_folder()
  refusal.remove_output()
  os.execute("rm -rf " .. FOLDER)
end

local function path(name) return FOLDER .. "/" .. name end

local function write(name, text) return support.write("overwriting/" .. name, text) end

local function entries()
  local list = {}
  for name in lfs.dir(FOLDER) do
    if name ~= "." and name ~= ".." then list[#list + 1] = name end
  end
  table.sort(list)
  return table.concat(list, " ")
end

-- What each mode that writes a file writes there, and the command up to -o.
local IDS = support.ids("overwriting.ids", { { 1, 2, 3 } })
local WRITERS <const> = {
  string.format("%s -m getp -i %s -o ", MODEL, ONE),
  string.format("%s -m logits -i %s -o ", MODEL, IDS),
  string.format("pack %s -o ", MODEL),
  string.format("%s -m getp -i %s -o %s --trace ", MODEL, ONE, OUT),
}

local function run(arguments)
  local status, _, err = refusal.run(arguments)
  lu.assertEquals({ err, status }, { "", 0 }, arguments)
end

-- ---- files that are replaced ----

TestReplaced = { setUp = fresh_folder, tearDown = remove_folder }

-- The mode of the old file stays; a new one has the mode of any new file. The trace has times, so only its mode counts.
function TestReplaced.test_modes()
  for i, writer in ipairs(WRITERS) do
    write("private", "old")
    assert(os.execute("chmod 600 " .. path "private"))
    run(writer .. path "private")
    lu.assertEquals(lfs.attributes(path "private", "permissions"), "rw-------")
    assert(os.execute(string.format("umask 027; %s %s%s >/dev/null 2>&1", abacus.GETP, writer, path "new" .. i)))
    lu.assertEquals(lfs.attributes(path "new" .. i, "permissions"), "rw-r-----")
  end
  lu.assertEquals(entries(), "new1 new2 new3 new4 private")
end

-- A link stays a link. The file to which it leads is replaced, or appears.
function TestReplaced.test_links()
  assert(os.execute(string.format("cd %s && mkdir there && ln -s there/file near && ln -s near far && ln -s there door",
    FOLDER)))
  for _, writer in ipairs(WRITERS) do
    os.remove(path "there/file")
    for _, name in ipairs { "far", "near", "door/file" } do
      run(writer .. path(name))
      lu.assertEquals(lfs.symlinkattributes(path "far", "mode"), "link")
      lu.assertEquals(lfs.symlinkattributes(path "near", "mode"), "link")
      lu.assertTrue(lfs.attributes(path "there/file", "size") > 0)
      lu.assertEquals(lfs.symlinkattributes(path "there/file", "mode"), "file")
    end
  end
  lu.assertEquals(entries(), "door far near there")
end

function TestReplaced.test_a_circle_of_links()
  assert(os.execute(string.format("cd %s && ln -s a b && ln -s b a", FOLDER)))
  for i, writer in ipairs(WRITERS) do
    refusal.refused(writer .. path "a", path "a" .. ": Too many levels of symbolic links")
    lu.assertTrue(i > 0 and entries() == "a b")
  end
end

-- Links under names that getp might use for a new file are not written through.
function TestReplaced.test_links_under_other_names()
  for _, name in ipairs { "out.new", "out.tmp", ".out.new" } do
    assert(os.execute(string.format("cd %s && echo precious >victim && ln -s victim %s", FOLDER, name)))
  end
  for _, writer in ipairs(WRITERS) do run(writer .. path "out") end
  lu.assertEquals(support.read(path "victim"), "precious\n")
  lu.assertEquals(entries(), ".out.new out out.new out.tmp victim")
end

-- ---- files that are written straight ----

TestStraight = { setUp = fresh_folder, tearDown = remove_folder }

local function is_link(name) return lfs.symlinkattributes(name, "mode") == "link" end

function TestStraight.test_standard_output()
  local want = {}
  for i = 2, 3 do
    run(WRITERS[i] .. path "want")
    want[i] = support.read(path "want")
  end
  for _, name in ipairs { "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1" } do
    local text = write("text", "before\n")
    assert(os.execute(string.format("%s %s%s >>%s && echo after >>%s", abacus.GETP, WRITERS[1], name, text, text)))
    lu.assertStrMatches(support.read(text), "before\nNum requests: 1\n.*\n" .. ANSWER .. "finish [^\n]+\nafter\n")
    lu.assertTrue(is_link "/dev/stdout" and is_link "/proc/self")
    for i = 2, 3 do
      assert(os.execute(string.format("{ %s %s%s && echo after; } >%s", abacus.GETP, WRITERS[i], name, text)))
      lu.assertTrue(support.read(text) == want[i] .. "after\n", name)
    end
  end
  lu.assertEquals(entries(), "text want")
end

function TestStraight.test_pipes()
  local status, out, err = support.run(string.format("%s %s/dev/stdout | cat", abacus.GETP, WRITERS[1]))
  lu.assertEquals({ err, status }, { "", 0 })
  lu.assertStrContains(out, "\n" .. ANSWER)
  for i = 2, 3 do
    status, out, err = support.run(string.format("{ %s %s/dev/stdout; echo $? >&2; } | cat", abacus.GETP, WRITERS[i]))
    lu.assertEquals({ out, err, status },
      { "", "getp: /dev/stdout: want a file that can be written in any order, found a pipe\n1\n", 0 })
  end
end

function TestStraight.test_devices()
  for _, writer in ipairs(WRITERS) do
    run(writer .. "/dev/null")
    lu.assertEquals(lfs.attributes("/dev/null", "mode"), "char device")
  end
  refusal.refused(WRITERS[1] .. "/dev/stdin </dev/null",
    "/dev/stdin: want it open for writing, found it open for reading")
  refusal.refused(WRITERS[1] .. "/dev/fd/77", "/dev/fd/77: Bad file descriptor")
end

-- ---- an output has a file of its own ----

TestOwnFile = { setUp = fresh_folder, tearDown = remove_folder }

local function refused(arguments, flag, found, what)
  local before = support.read(found)
  refusal.refused(arguments, string.format("%s: want a file of its own, found %s, which is also %s", flag, found, what))
  lu.assertTrue(support.read(found) == before, arguments)
end

-- Each input by its name, by a link, and by a second name of the same file.
function TestOwnFile.test_inputs()
  local prompts = write("prompts", support.read(ONE))
  local ids = write("sequences", "1 2 3\n")
  assert(os.execute(string.format("cd %s && ln -s prompts link && ln prompts second && ln prompts out.part",
    FOLDER)))
  for _, name in ipairs { "prompts", "second" } do
    refused(string.format("%s -m getp -i %s -o %s", MODEL, prompts, path(name)), "-o", path(name), "that of -i")
    refused(string.format("%s -m getp -i %s -o %s --trace %s", MODEL, prompts, OUT, path(name)), "--trace", path(name),
      "that of -i")
  end
  refused(string.format("%s -m getp -i %s -o %s", MODEL, path "link", prompts), "-o", prompts, "that of -i")
  refused(string.format("%s -m getp -i %s -o %s", MODEL, prompts, path "link"), "-o", prompts, "that of -i")
  refused(string.format("%s -m getp -i %s -o %s", MODEL, prompts, path "out"), "the journal of -o", path "out.part",
    "that of -i")
  refused(string.format("%s -m logits -i %s -o %s", MODEL, ids, ids), "-o", ids, "that of -i")
  refused(string.format("%s -f %s --trace %s", MODEL, ids, ids), "--trace", ids, "that of -f")
  refused(string.format("%s -m chat --tools %s --trace %s", MODEL, ids, ids), "--trace", ids, "that of --tools")
  refused(string.format("%s -m chat --trace %s <%s", MODEL, ids, ids), "--trace", ids, "standard input")
  lu.assertFalse(support.exists(OUT))
end

function TestOwnFile.test_checkpoints()
  local model = support.folder("overwriting/model", MODEL, {})
  assert(os.execute(string.format("mkdir %s/original && echo 1 >%s/original/x", model, model)))
  for _, file in ipairs { "model.safetensors", "config.json", "tokenizer.json", "original/x" } do
    local real = lfs.symlinkattributes(model .. "/" .. file, "target") or model .. "/" .. file
    for i, writer in ipairs(WRITERS) do
      refused(writer:gsub(MODEL:gsub("%p", "%%%0"), model) .. model .. "/" .. file, i == 4 and "--trace" or "-o", real,
        "one of the checkpoint")
    end
  end
  run(WRITERS[3] .. path "packed")
  refused(string.format("%s -m getp -i %s -o %s", path "packed", ONE, path "packed"), "-o", path "packed",
    "one of the checkpoint")
  local beside = write("tokenizer.json", "{}")
  refused(string.format("%s -m getp -i %s -o %s", path "model.bin", ONE, beside), "-o", beside, "one of the checkpoint")
  local tokenizer = write("tokenizer", support.read(abacus.TOKENIZER))
  refused(string.format("%s%s -z %s", WRITERS[1], tokenizer, tokenizer), "-o", tokenizer, "that of -z")
end

-- Two outputs, which need not exist yet.
function TestOwnFile.test_two_outputs()
  local want = "--trace: want a file of its own, found %s, which is also %s"
  assert(os.execute(string.format("ln -s . %s", path "here")))
  local to = string.format("%s -m getp -i %s -o %s --trace ", MODEL, ONE, path "out")
  refusal.refused(to .. path "out", want:format(path "out", "that of -o"))
  refusal.refused(to .. path "here/out", want:format(path "here/out", "that of -o"))
  refusal.refused(to .. path "out.part", want:format(path "out.part", "the journal of -o"))
  run(to .. path "trace")
  lu.assertEquals(entries(), "here out trace")
  refusal.refused(to .. path "out", want:format(path "out", "that of -o"))
  lu.assertEquals(support.read(path "out"), ANSWER)
end

os.exit(lu.LuaUnit.run())
