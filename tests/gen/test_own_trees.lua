-- A user's own trees, in clones of this repository: git does not see them, ninja builds them, --check says when they
-- are stale, --regen renews them, and a tree that is deleted by hand breaks nothing. Compilers are stubs that make
-- empty files.
-- luacheck: globals TestGit TestNinja TestStale TestDeleted TestConfigs TestNames
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local emit = require "gen.emit"
local lfs = require "lfs"
local lu = require "luaunit"
local program = require "tests.gen.program"

local SCRATCH <const> = lfs.currentdir() .. "/build/tests/own"
local ORIGIN <const>, BUILT <const>, CLONE <const> = SCRATCH .. "/origin", SCRATCH .. "/built", SCRATCH .. "/clone"
local INSIDE <const> = "cd " .. CLONE .. " &&"
local MINE <const> = "--config tests/models/abacus --target cpu --name mine"
local SOURCES <const> = "gen templates runtime generated build.ninja .gitignore .gitattributes tests/demo.lua "
  .. "tests/models/abacus/config.json tests/models/abacus_chat/config.json"
local EMPTY <const> = emit.own_ninja {}

local COMPILER <const> = [[
#!/bin/sh
# cc and ar without compiling: empty files for -o and -MF, or for ar's archive.
case $0 in */ar) : >"$2" ;; esac
while [ $# -gt 0 ]; do
  case $1 in
  -o) : >"$2" ;;
  -MF) echo "${2%.d}:" >"$2" ;;
  esac
  shift
done
]]

local function must(command)
  local status, out, err = program.shell(command)
  lu.assertEquals(status, 0, command .. "\n" .. out .. err)
  return out
end

-- A repository with the files of this one, and a folder with the compilers.
local function make_origin()
  must(string.format("rm -rf %s && mkdir -p %s %s/bin", SCRATCH, ORIGIN, SCRATCH))
  must(string.format("git ls-files -co --exclude-standard %s | tar -cf - -T - | tar -xf - -C %s", SOURCES, ORIGIN))
  program.write(ORIGIN .. "/generated/own.ninja", EMPTY)
  must(string.format("cd %s && git init -q && git add -A && git add -f generated/own.ninja "
    .. "&& git -c user.name=x -c user.email=x@y commit -qm x", ORIGIN))
  for _, name in ipairs { "cc", "ar" } do
    program.write(SCRATCH .. "/bin/" .. name, COMPILER)
    must(string.format("chmod +x %s/bin/%s", SCRATCH, name))
  end
end

-- Runs the generator in the clone -> its output.
local function generate(words) return program.succeed(words, INSIDE) end

-- Runs ninja in the clone, or after another prefix -> exit status, output.
local function ninja(words, prefix)
  return program.shell(string.format("%s PATH=%s/bin:$PATH ninja %s 2>&1", prefix or INSIDE, SCRATCH, words or ""))
end

-- A clone in which `ninja` has run: each test gets a copy of it.
make_origin()
must(string.format("git clone -q %s %s", ORIGIN, BUILT))
local built = { ninja("", "cd " .. BUILT .. " &&") }

local function fresh_clone() must(string.format("rm -rf %s && cp -a %s %s", CLONE, BUILT, CLONE)) end

local function must_build(words)
  local status, out = ninja(words)
  lu.assertEquals(status, 0, out)
  return out
end

local function read(path) return chain.read(CLONE .. "/" .. path) end

local function exists(path) return lfs.attributes(CLONE .. "/" .. path) ~= nil end

-- git sees changes of these files only.
local function assert_git_sees(files)
  local lines = {}
  for i, file in ipairs(files) do lines[i] = " M " .. file .. "\n" end
  lu.assertEquals(must(INSIDE .. " git status --porcelain"), table.concat(lines))
end

local function assert_git_is_clean() assert_git_sees {} end

-- The mark of own.ninja in git's index: "S" if git skips its changes, "H" if not.
local function mark_of_own_ninja() return must(INSIDE .. " git ls-files -v generated/own.ninja"):sub(1, 1) end

TestGit = {}

function TestGit.test_generating_changes_no_committed_file()
  fresh_clone()
  lu.assertEquals(mark_of_own_ninja(), "H")
  lu.assertEquals(generate(MINE), "")
  assert_git_is_clean()
  lu.assertEquals({ mark_of_own_ninja(), emit.names_of_own_ninja(read "generated/own.ninja") }, { "S", { "mine" } })
  generate("--config gen/configs/gpt-oss-20b.json --target gfx90a --slots 4 --name other")
  generate "--regen"
  assert_git_is_clean()
  lu.assertEquals(emit.names_of_own_ninja(read "generated/own.ninja"), { "mine", "other" })
end

-- The list and its mark come back to what was committed.
function TestGit.test_the_last_own_tree_goes()
  fresh_clone()
  generate(MINE)
  must(INSIDE .. " rm -r generated/mine")
  generate "--regen"
  lu.assertEquals({ mark_of_own_ninja(), read "generated/own.ninja" }, { "H", EMPTY })
  assert_git_is_clean()
end

function TestGit.test_no_git()
  fresh_clone()
  must(INSIDE .. " rm -rf .git && mv ../clone ../../own-without-git")
  local without = "cd " .. SCRATCH .. "-without-git && GIT_CEILING_DIRECTORIES=" .. SCRATCH:match("^(.*)/")
  lu.assertEquals(program.succeed(MINE, without), "")
  lu.assertEquals(program.succeed("--check", without), "")
  must("rm -r " .. SCRATCH .. "-without-git")
end

TestNinja = {}

function TestNinja.test_a_fresh_clone_builds()
  lu.assertEquals(built[1], 0, built[2])
  lu.assertStrContains(built[2], "LINK build/abacus-cpu/getp\n")
  fresh_clone()
  lu.assertEquals(must_build(), "ninja: no work to do.\n")
  assert_git_is_clean()
end

-- An own tree is built by its name only.
function TestNinja.test_an_own_tree()
  fresh_clone()
  generate(MINE)
  must_build()
  lu.assertFalse(exists "build/mine/getp")
  lu.assertStrContains(must_build "mine", "CHECK generated/mine for stale files\n")
  lu.assertTrue(exists "build/mine/getp")
  lu.assertEquals(must_build "mine", "ninja: no work to do.\n")
end

-- The edges of own.ninja are those of the tree.
function TestNinja.test_the_same_edges()
  fresh_clone()
  generate(MINE)
  local edges = read("generated/mine/build.ninja"):gsub("^[^\n]*\n", ""):gsub("default mine\n", "")
  lu.assertEquals(read "generated/own.ninja", EMPTY .. "\ncheck = $builddir/mine/check.stamp\nbuild $check: check\n"
    .. "  name = mine\n  only = --name mine\n" .. edges)
  lu.assertEquals(edges:match("^[^\n]*"), "# Made by: lua5.4 gen/main.lua " .. MINE)
end

TestStale = {}

-- A newer template comes with `git pull`, and the committed trees with it.
function TestStale.test_a_newer_template()
  fresh_clone()
  generate(MINE)
  must(INSIDE .. " cp -r generated/mine ../mine && echo '// newer' >>templates/cpu/embed.c.in")
  generate "--regen"
  lu.assertStrContains(read "generated/abacus-cpu/embed.c", "// newer\n")
  lu.assertStrContains(read "generated/mine/embed.c", "// newer\n")
  must(INSIDE .. " rm -r generated/mine && mv ../mine generated/mine") -- as it would be without regen
  lu.assertEquals(generate "--check", "generated/mine: stale: run ninja regen\n")
  lu.assertStrContains(must_build(), "generated/mine: stale: run ninja regen\n")
  local status, out = ninja "mine"
  lu.assertEquals(status, 1)
  lu.assertStrContains(out, "gen/main.lua: generated/mine/embed.c: stale\n"
    .. "generated/mine/summary.txt: stale\ngenerated/mine is not current: run `ninja regen`\n")
  must_build "regen"
  must_build "mine"
  lu.assertEquals(generate "--check", "")
  assert_git_sees { "generated/abacus-cpu/embed.c", "generated/abacus-cpu/summary.txt",
    "generated/abacus_chat-cpu/embed.c", "generated/abacus_chat-cpu/summary.txt", "templates/cpu/embed.c.in" }
end

-- Stale committed trees are an error, as without own trees.
function TestStale.test_committed_and_own()
  fresh_clone()
  generate(MINE)
  must(INSIDE .. " echo '// newer' >>templates/cpu/embed.c.in")
  local status, out, err = program.run("--check", INSIDE)
  lu.assertEquals({ status, out, err }, { 1, "generated/mine: stale: run ninja regen\n",
    "gen/main.lua: generated/abacus-cpu/embed.c: stale\ngenerated/abacus-cpu/summary.txt: stale\n"
      .. "generated/abacus_chat-cpu/embed.c: stale\ngenerated/abacus_chat-cpu/summary.txt: stale\n"
      .. "generated/ is not current: run `ninja regen`\n" })
end

function TestStale.test_check_of_one_tree()
  fresh_clone()
  generate(MINE)
  lu.assertEquals(generate "--check --name mine", "")
  lu.assertEquals(generate "--check --name abacus-cpu", "")
  program.refused("--check --name none", "generated/none: want a tree, got none\n"
    .. "generated/none is not current: run `ninja regen`", INSIDE)
end

TestDeleted = {}

function TestDeleted.test_by_hand()
  fresh_clone()
  generate(MINE)
  generate(MINE .. "2")
  must_build "mine"
  must(INSIDE .. " rm -r generated/mine")
  lu.assertStrContains(must_build(), "generated/mine: deleted: generated/own.ninja no longer lists it\n")
  lu.assertEquals(emit.names_of_own_ninja(read "generated/own.ninja"), { "mine2" })
  must_build "mine2"
  local status, out = ninja "mine"
  lu.assertEquals(status, 1)
  lu.assertStrContains(out, "unknown target 'mine'")
  assert_git_is_clean()
end

function TestDeleted.test_own_ninja_itself()
  fresh_clone()
  generate(MINE)
  os.remove(CLONE .. "/generated/own.ninja")
  generate "--regen"
  must_build "mine"
end

TestConfigs = {}

-- A tree that cannot be renewed does not stop the others.
function TestConfigs.test_a_config_that_is_gone()
  fresh_clone()
  must(INSIDE .. " mkdir my && cp tests/models/abacus/config.json my/first.json && cp my/first.json my/second.json")
  for _, name in ipairs { "first", "second" } do generate("--target cpu --config my/" .. name .. ".json") end
  must(INSIDE .. " rm my/first.json && echo '// newer' >>templates/cpu/embed.c.in")
  local gone = "my/first.json: cannot read the file: No such file or directory"
  program.refused("--regen", "generated/first-cpu: cannot be renewed: " .. gone, INSIDE)
  lu.assertStrContains(read "generated/second-cpu/embed.c", "// newer\n")
  lu.assertEquals(generate "--check", "generated/first-cpu: cannot be checked: " .. gone .. "\n")
  must_build()
  must_build "second-cpu"
  local status, out = ninja "first-cpu"
  lu.assertEquals(status, 1)
  lu.assertStrContains(out, "gen/main.lua: generated/first-cpu: cannot be checked: " .. gone .. "\n")
end

-- Ninja reads these paths in the depfile of the check.
function TestConfigs.test_odd_paths()
  fresh_clone()
  local folder = "my $HOME #1"
  lfs.mkdir(CLONE .. "/" .. folder)
  must(string.format('%s cp tests/models/abacus/config.json "my \\$HOME #1"', INSIDE))
  generate('--target cpu --name odd --config "my \\$HOME #1"')
  must_build "odd"
  lu.assertEquals(must_build "odd", "ninja: no work to do.\n")
  program.write(CLONE .. "/" .. folder .. "/config.json", (read("tests/models/abacus/config.json"):gsub("32", "16", 1)))
  local status, out = ninja "odd"
  lu.assertEquals(status, 1)
  lu.assertStrContains(out, "generated/odd is not current: run `ninja regen`\n")
  must_build "regen"
  must_build "odd"
end

TestNames = {}

function TestNames.test_a_committed_tree_with_other_options()
  fresh_clone()
  generate "--config tests/models/abacus/config.json --target cpu"
  assert_git_is_clean()
  program.refused("--config tests/models/abacus --target cpu --slots 3",
    '--name: want a name that gen/trees.lua does not list with other options, got "abacus-cpu"', INSIDE)
  program.refused("--config tests/models/abacus --target cpu --slots 3 --out ./generated/",
    '--name: want a name that gen/trees.lua does not list with other options, got "abacus-cpu"', INSIDE)
  assert_git_is_clean()
  lu.assertEquals(read "generated/own.ninja", EMPTY)
end

-- A copy of a tree would define the same files again.
function TestNames.test_a_copied_folder()
  fresh_clone()
  generate(MINE)
  must(INSIDE .. " cp -r generated/mine generated/copy && cp -r generated/abacus-cpu generated/copy2")
  lu.assertEquals(generate "--check", "generated/copy: cannot be checked: its command makes generated/mine: remove the "
    .. "folder\ngenerated/copy2: cannot be checked: its command makes generated/abacus-cpu: remove the folder\n")
  program.refused("--regen", "generated/copy: cannot be renewed: its command makes generated/mine: remove the folder\n"
    .. "generated/copy2: cannot be renewed: its command makes generated/abacus-cpu: remove the folder", INSIDE)
  must_build "mine"
  assert_git_is_clean()
end

-- Folders without a command are not trees.
function TestNames.test_other_folders()
  fresh_clone()
  must(INSIDE .. " mkdir -p generated/notes generated/old && echo '# mine' >generated/old/build.ninja")
  lu.assertEquals(generate "--regen", "")
  lu.assertEquals(generate "--check", "")
  lu.assertEquals(read "generated/own.ninja", EMPTY)
  assert_git_is_clean()
end

os.exit(lu.LuaUnit.run())
