-- Bad command lines: getp refuses with one line that names the flag, and exit status 1.
-- luacheck: globals TestFlags

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, OUT, ONE = abacus.MODEL, refusal.OUT, refusal.PROMPT
local refused, refused_like = refusal.refused, refusal.refused_like

TestFlags = { setUp = refusal.remove_output }

function TestFlags.test_no_value()
  for _, flag in ipairs { "-m", "-i", "-o", "-n", "-t", "-p", "-s", "-z", "-y", "-b", "--chunk", "--mode", "--input",
    "--output", "--steps", "--temperature", "--top-p", "--seed", "--tokenizer", "--system", "--slots" } do
    refused(MODEL .. " " .. flag, flag .. ": want a value, found none: see --help")
  end
end

-- Each value of a flag is refused: `message` says what is wanted.
local function value_refused(flag, values, message)
  for _, value in ipairs(values) do
    refused(string.format("%s -i x %s %s", MODEL, flag, support.quote(value)),
      string.format('%s: %s, found "%s"', flag, message, value))
  end
end

function TestFlags.test_values()
  value_refused("-m", { "", "foo", "decode", "Chat" }, "want generate, chat, getp or logits")
  value_refused("-n", { "", "x", "1x", "1.5", "99999999999", "-99999999999" },
    "want an integer from -2147483648 to 2147483647")
  for _, flag in ipairs { "-b", "--chunk" } do
    value_refused(flag, { "", "x", "0", "-1", "3000000000" }, "want an integer from 1 to 2147483647")
  end
  refused(MODEL .. " -i x -b 17", "-b: want at most 16 for this getp, found 17")
  refused(MODEL .. " -i x --chunk 129", "--chunk: want at most 128 for this getp, found 129")
  value_refused("-t", { "", "x", "-1", "-0.001", "1001", "inf", "nan", "1,5" }, "want a number from 0 to 1000")
  value_refused("-p", { "", "x", "-1", "1.001", "nan" }, "want a number from 0 to 1")
  value_refused("-s", { "", "x", "-1", " -1", "18446744073709551616", "1.5" }, "want an integer from 0 to 2^64 - 1")
end

function TestFlags.test_unknown()
  for arguments, flag in pairs { ["-x"] = "-x", ["-xyz"] = "-x", ["--nonsense"] = "--nonsense", ["-n 5 -c"] = "-c",
    ["--chunk 5 -r"] = "-r", ["--reference=3"] = "--reference=3", ["--help=x"] = "--help=x" } do
    refused(MODEL .. " " .. arguments, flag .. ": unknown flag: see --help")
  end
end

function TestFlags.test_what_a_mode_needs()
  local checkpoint = "CHECKPOINT: want a folder or a packed file, found none: see --help"
  local input = "-i: want a text or the name of a file, found none: see --help"
  local output = "-o: want the name of a file, found none: see --help"
  refused("", checkpoint)
  refused("-i x", checkpoint)
  refused("pack -o x", checkpoint)
  refused("'' -i x", 'CHECKPOINT: want a folder or a packed file, found "": see --help')
  refused(MODEL, input)
  refused(MODEL .. " -m getp -o " .. OUT, input)
  refused(MODEL .. " -m getp -i " .. ONE, output)
  refused(MODEL .. " -m logits -i " .. ONE, output)
  refused(string.format("%s %s -i x", MODEL, ONE), string.format(
    'CHECKPOINT: want one, found "%s" and "%s": see --help', MODEL, ONE))
  refused("decode -i " .. ONE, "-z: want a tokenizer.json to decode by, found none: see --help")
  refused("decode " .. MODEL .. " -i x -z x", string.format(
    'decode: want no checkpoint, found "%s": see --help', MODEL))
  refused(MODEL .. " -i x --reference", "--reference: want -m logits, found another mode: see --help")
end

function TestFlags.test_texts()
  refused(MODEL .. " -i ''", '-i: want a text or the name of a file, found "": see --help')
  refused(MODEL .. " -i \"$(printf 'a\\377')\"", "-i: byte 2: want UTF-8, found 0xff")
  refused(MODEL .. " -m chat -y '' </dev/null", "-y: want at least one character, found none")
  refused(MODEL .. " -i '0 * 4 =' -n 5", "-i: want a text of fewer than 5 tokens, found 5")
  refused_like(MODEL .. " -i '" .. ("a "):rep(600) .. "'", "%-i: want a text of fewer than 512 tokens, found %d+")
  refused(MODEL .. " -m chat <tests", "standard input: Is a directory")
end

os.exit(lu.LuaUnit.run())
