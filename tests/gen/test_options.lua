-- gen/options.lua: the command that a tree remembers, written and read. tests/gen/test_main.lua has the errors of the
-- command line.
-- luacheck: globals TestCommand
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local lu = require "luaunit"
local options = require "gen.options"

TestCommand = {}

local function command(words) return options.command(options.parse(words), "abacus-cpu") end

function TestCommand.test_options_that_differ_from_the_defaults()
  lu.assertEquals(command { "--config", "a/b", "--target", "cpu" }, "lua5.4 gen/main.lua --config a/b --target cpu")
  lu.assertEquals(command { "--target", "cpu", "--out", "x", "--precision", "mixed", "--name", "abacus-cpu", "--config",
    "a/b" }, "lua5.4 gen/main.lua --config a/b --target cpu")
end

function TestCommand.test_order()
  lu.assertEquals(command { "--name", "n", "--context", "7", "--slots", "5", "--precision", "fp32", "--target",
    "gfx90a", "--config", "a/b" },
    "lua5.4 gen/main.lua --config a/b --target gfx90a --precision fp32 --slots 5 --context 7 --name n")
end

function TestCommand.test_paths_are_quoted()
  for path, text in pairs { ["a b"] = "'a b'", ["it's"] = "'it'\\''s'", ["$x"] = "'$x'", ["a\\b"] = "'a\\b'",
    ["/a/B_1-2.json"] = "/a/B_1-2.json", ["Ü"] = "'Ü'", ["'"] = "''\\'''" } do
    local line = command { "--config", path, "--target", "cpu" }
    lu.assertEquals(line, "lua5.4 gen/main.lua --config " .. text .. " --target cpu")
    lu.assertEquals(options.parse_command(line),
      { config = path, target = "cpu", precision = "mixed", out = "generated" })
  end
end

-- The shell reads the same words.
function TestCommand.test_the_shell_agrees()
  for _, path in ipairs { "a b", "it's", "$HOME `x` \"y\"", "a\\b'c''d" } do
    local line = command { "--config", path, "--target", "cpu" }
    local pipe = assert(io.popen("printf '%s\\n' " .. line))
    local words = chain.lines_of(pipe:read("a"))
    pipe:close()
    lu.assertEquals(words, { "lua5.4", "gen/main.lua", "--config", path, "--target", "cpu" })
  end
end

function TestCommand.test_all_options_come_back()
  local words = { "--config", "a/b", "--target", "gfx90a", "--precision", "fp32", "--slots", "5", "--context", "7",
    "--name", "n" }
  lu.assertEquals(options.parse_command(command(words)), options.parse(words))
end

function TestCommand.test_other_texts_are_refused()
  local front = "lua5.4 gen/main.lua "
  for line, message in pairs {
    ["rm -rf /"] = "want lua5.4 gen/main.lua and its options", [front] = "want lua5.4 gen/main.lua and its options",
    [front .. "--regen"] = "want only the options of a tree",
    [front .. "--config a --target cpu --dump plan"] = "want only the options of a tree",
    [front .. "--config 'a --target cpu"] = "want a closing quote",
    [front .. "--config a"] = "--target: want gfx90a, sm_90 or cpu, got nothing; see --help",
    [front .. "--config a --target cpu; ls"] = "ls: unknown option; see --help",
  } do
    chain.refused(message, options.parse_command, line)
  end
end

os.exit(lu.LuaUnit.run())
