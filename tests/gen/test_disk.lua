-- How gen/disk.lua writes: a run that is killed, a full disk and a second run leave the old tree or the new one, and
-- files that stay as they are keep their times. A build refuses a tree whose files are of two versions. The daily
-- tests kill 5 runs; `lua5.4 tests/gen/test_disk.lua 50` kills 50.
-- luacheck: globals TestReplace TestRecover TestLock TestAgree TestKill
package.path = "./?.lua;" .. package.path

local disk = require "gen.disk"
local lfs = require "lfs"
local lu = require "luaunit"
local program = require "tests.gen.program"

local KILLS <const> = tonumber(arg[1] or "") and tonumber(table.remove(arg, 1)) or 5
local SCRATCH <const> = program.scratch .. "/disk"
local FOLDER <const> = SCRATCH .. "/tree"
local OLD_TIME <const> = 1000000000

local contents, write = program.contents, program.write

local function must(command)
  local status, out, err = program.shell(command)
  lu.assertEquals(status, 0, command .. "\n" .. out .. err)
  return out
end

-- An empty folder with a folder of files in it, whose times are OLD_TIME.
local function fresh(files)
  must("rm -rf " .. SCRATCH .. " && mkdir -p " .. SCRATCH)
  disk.replace_folder(FOLDER, files)
  must("find " .. SCRATCH .. " -type f -exec touch -d @" .. OLD_TIME .. " {} +")
end

local function time_of(name) return lfs.attributes(FOLDER .. "/" .. name, "modification") end

TestReplace = {}

function TestReplace.test_files_that_stay_keep_their_times()
  fresh { a = "1\n", b = "2\n", c = "3\n" }
  disk.replace_folder(FOLDER, { a = "1\n", b = "22\n", d = "4\n" })
  lu.assertEquals(contents(SCRATCH), { ["tree/a"] = "1\n", ["tree/b"] = "22\n", ["tree/d"] = "4\n" })
  lu.assertEquals(time_of "a", OLD_TIME)
  lu.assertTrue(time_of "b" > OLD_TIME)
  lu.assertEquals(lfs.attributes(FOLDER .. "/a", "nlink"), 1)
end

-- Some file systems have no hard links.
function TestReplace.test_without_links()
  fresh { a = "1\n", b = "2\n" }
  local link = lfs.link
  lfs.link = function() return nil, "Operation not permitted" end -- luacheck: ignore
  disk.replace_folder(FOLDER, { a = "1\n", b = "22\n" })
  lfs.link = link -- luacheck: ignore
  lu.assertEquals({ time_of "a", contents(SCRATCH)["tree/b"] }, { OLD_TIME, "22\n" })
end

function TestReplace.test_nothing_to_do()
  fresh { a = "1\n" }
  local inode = lfs.attributes(FOLDER, "ino")
  disk.replace_folder(FOLDER, { a = "1\n" })
  disk.write_if_changed(FOLDER .. "/a", "1\n")
  lu.assertEquals({ lfs.attributes(FOLDER, "ino"), time_of "a" }, { inode, OLD_TIME })
end

-- The limit stands for a full disk: no file may be larger than 1 KiB.
function TestReplace.test_a_full_disk()
  fresh { a = "old\n" }
  local code = 'package.path = "./?.lua;" .. package.path; local disk = require "gen.disk"; '
    .. 'local ok, message = pcall(disk.%s); io.write(tostring(ok), " ", message)'
  for _, call in ipairs { 'replace_folder, "%s/tree", { a = "new", b = ("x"):rep(9999) }',
    'write_if_changed, "%s/tree/b", ("x"):rep(9999)' } do
    local out = must(string.format("trap '' XFSZ; ulimit -f 1; lua5.4 -e '%s'", code:format(call:format(SCRATCH))))
    lu.assertEquals(out, "false " .. FOLDER .. "/b: cannot write the file: File too large")
    lu.assertEquals(contents(SCRATCH), { ["tree/a"] = "old\n" })
    lu.assertEquals(must("ls -A " .. SCRATCH), "tree\n")
  end
end

TestRecover = {}

-- What each moment of a killed run leaves, and what the next run makes of it.
function TestRecover.test_every_moment()
  for _, case in ipairs {
    { "mv tree x && mkdir .tree.getp-part && echo 2 >.tree.getp-part/a && mv x tree", "1\n" },
    { "mkdir .tree.getp-new && echo 2 >.tree.getp-new/a", "1\n" },
    { "mv tree .tree.getp-old && mkdir .tree.getp-new && echo 2 >.tree.getp-new/a", "2\n" },
    { "mv tree .tree.getp-old && mkdir tree && echo 2 >tree/a", "2\n" },
    { "mkdir .tree.getp-old && echo 2 >.tree.getp-old/a && echo x >.own.ninja.getp-part", "1\n" },
  } do
    fresh { a = "1\n" }
    must("cd " .. SCRATCH .. " && " .. case[1])
    disk.exclusively(SCRATCH, function() end)
    lu.assertEquals(contents(SCRATCH), { ["tree/a"] = case[2] }, case[1])
    lu.assertEquals(must("ls -A " .. SCRATCH), ".lock\ntree\n")
  end
end

-- Folders that only look alike are those of others.
function TestRecover.test_other_names()
  fresh { a = "1\n" }
  must("cd " .. SCRATCH .. " && mkdir .x.old .vim.new x.getp-old .getp-old .x.getp-older && touch .x.old/a")
  disk.exclusively(SCRATCH, function() end)
  lu.assertEquals(must("ls -A " .. SCRATCH), ".getp-old\n.lock\n.vim.new\n.x.getp-older\n.x.old\ntree\nx.getp-old\n")
end

TestLock = {}

-- A run waits for another, and does not take its files for those of a killed one.
function TestLock.test_two_runs()
  fresh { a = "1\n" }
  local code = 'package.path = "./?.lua;" .. package.path; local disk = require "gen.disk"; '
    .. 'disk.exclusively("%s", function() %s end)'
  local slow = code:format(SCRATCH, 'os.execute("mkdir %s/.tree.getp-part; echo >%s/began; sleep 0.4; ls -d %s/.t*")')
  slow = slow:gsub("%%s", SCRATCH)
  local fast = code:format(SCRATCH, 'os.execute("ls -d %s/.t* 2>/dev/null || echo none")'):gsub("%%s", SCRATCH)
  local out = must(string.format("lua5.4 -e '%s' & while [ ! -e %s/began ]; do sleep 0.02; done; lua5.4 -e '%s'; wait",
    slow, SCRATCH, fast))
  lu.assertEquals(out, SCRATCH .. "/.tree.getp-part\nnone\n")
end

function TestLock.test_many_runs()
  must("rm -rf " .. SCRATCH .. " && mkdir -p " .. SCRATCH)
  local words = "lua5.4 gen/main.lua --config tests/models/abacus --target cpu --out " .. SCRATCH
  must(string.format("for n in 1 2 3 4; do %s --name same --slots $n & %s --name own$n & done; wait", words, words))
  lu.assertEquals(must("ls -A " .. SCRATCH), ".lock\nown1\nown2\nown3\nown4\nsame\ntrees.ninja\n")
  local _, lines = contents(SCRATCH)["trees.ninja"]:gsub("\n", "")
  lu.assertEquals(lines, 6)
end

TestAgree = {}

local COPY <const> = lfs.currentdir() .. "/" .. program.scratch .. "/agree"
local COMPILER <const> = "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -o) : >$2 ;; esac; shift; done\n"

-- A copy of the repository, and a folder of programs that stand for a compiler and for Lua: the first makes empty
-- files; the second does nothing, so that a build does not compare a tree with what the generator makes.
local function make_copy()
  must(string.format("rm -rf %s && mkdir -p %s/bin %s/generated && cp -r gen templates runtime build.ninja %s && "
    .. "cp --parents tests/models/abacus/config.json %s",
    COPY, COPY, COPY, COPY, COPY))
  for _, name in ipairs { "cc", "ar" } do write(COPY .. "/bin/" .. name, COMPILER) end
  write(COPY .. "/bin/lua5.4", "#!/bin/sh\n")
  write(COPY .. "/gen/trees.lua", "return {}\n")
  must("chmod +x " .. COPY .. "/bin/*")
  must("cd " .. COPY .. " && lua5.4 gen/main.lua --regen")
end

local function generate(words)
  return program.succeed("--config tests/models/abacus --target cpu --name mine " .. words, "cd " .. COPY .. " &&")
end

-- Makes a file of the tree by ninja -> exit status, output.
local function build(what)
  local command = "cd %s && rm -f build/mine/agreed && PATH=%s/bin:$PATH ninja build/mine/%s 2>&1"
  return program.shell(command:format(COPY, COPY, what))
end

function TestAgree.test_any_file_of_another_version()
  make_copy()
  generate "--slots 3 --context 70"
  local other = contents(COPY .. "/generated/mine")
  must("cd " .. COPY .. " && echo '// x' | tee -a templates/*.h.in templates/*.inc.in templates/cpu/*.in >/dev/null")
  generate "--slots 4 --context 70"
  local currents, swapped = contents(COPY .. "/generated/mine"), 0
  for name, text in pairs(other) do
    local path, current = COPY .. "/generated/mine/" .. name, currents[name]
    if name ~= "build.ninja" then
      lu.assertTrue(text ~= current, name)
      write(path, text)
      local status, out = build "agreed"
      lu.assertEquals(status, 1, name)
      lu.assertStrContains(out, "\ngenerated/mine: want files of one version, found a mixture: "
        .. "make the tree anew: ninja regen\n")
      write(path, current)
      swapped = swapped + 1
    end
  end
  lu.assertEquals(swapped, 25)
  write(COPY .. "/generated/mine/kv.h", other["kv.h"])
  lu.assertEquals((build "getp"), 1)
  write(COPY .. "/generated/mine/kv.h", currents["kv.h"])
  lu.assertEquals((build "getp"), 0)
end

TestKill = {}

-- Lua that kills its process at the N-th call of a function that changes files or opens one. A run makes some 150 of
-- them; before the first of these it only reads.
local FIRST_CALL <const>, LAST_CALL <const> = 20, 150
local KILL_AT <const> = [=[
local lfs, calls = require "lfs", 0
for _, each in ipairs { { io, "open" }, { os, "rename" }, { os, "remove" }, { lfs, "link" }, { lfs, "mkdir" } } do
  local call = each[1][each[2]]
  each[1][each[2]] = function(...)
    calls = calls + 1
    if calls == N then os.execute("kill -KILL $PPID") end
    return call(...)
  end
end
]=]

-- Runs the generator and kills it after `seconds`, which may be after its end, or at a call.
local function kill_after(words, seconds)
  program.shell(string.format("cd %s && timeout -s KILL %.4f lua5.4 gen/main.lua --target cpu --name mine %s || true",
    COPY, seconds, words))
end

local function kill_at(words, call)
  write(COPY .. "/kill.lua", (KILL_AT:gsub("== N", "== " .. call)))
  program.shell(string.format("cd %s && lua5.4 -l kill gen/main.lua --target cpu --name mine %s || true", COPY, words))
end

-- Which of the versions the tree is, after the check that every build does: the number, or 0 for no tree.
local function version_of(versions)
  program.run("--check", "cd " .. COPY .. " &&")
  lu.assertEquals(must("cd " .. COPY .. "/generated && ls -A | grep getp- || true"), "")
  if not lfs.attributes(COPY .. "/generated/mine") then return 0 end
  local found = contents(COPY .. "/generated/mine")
  for i, files in ipairs(versions) do
    if pcall(lu.assertEquals, found, files) then return i end
  end
  return lu.fail("the tree is a mixture")
end

local function now() return tonumber(must("date +%s.%N")) end

-- Over an old tree, and without one. The build then agrees with the tree.
function TestKill.test_random_moments()
  make_copy()
  local versions, words = {}, { "--config tests/models/abacus --slots 3", "--config gen/configs/gpt-oss-20b.json" }
  local began = now()
  for i, each in ipairs(words) do
    program.succeed("--target cpu --name mine " .. each, "cd " .. COPY .. " &&")
    versions[i] = contents(COPY .. "/generated/mine")
  end
  local run_time = (now() - began) / 2
  math.randomseed(20261128)
  local counts, before = { [0] = 0, 0, 0 }, 2
  for i = 1, KILLS do
    if i % 4 == 0 then
      must("rm -rf " .. COPY .. "/generated/mine")
      before = 0
    end
    if i % 3 == 0 then
      kill_after(words[i % 2 + 1], math.random() * run_time)
    else
      kill_at(words[i % 2 + 1], math.random(FIRST_CALL, LAST_CALL))
    end
    local version = version_of(versions)
    lu.assertTrue(version == before or version == i % 2 + 1)
    if version > 0 then lu.assertEquals((build "agreed"), 0) end
    counts[version], before = counts[version] + 1, version
  end
  print(string.format("# %d kills within %.3f s: no tree %d times, one version %d times, the other %d times", KILLS,
    run_time, counts[0], counts[1], counts[2]))
end

os.exit(lu.LuaUnit.run())
