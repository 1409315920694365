-- Bad command lines: getp refuses with one line that names the flag, and exit status 1.
-- luacheck: globals TestFlags TestSystem

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, OUT, ONE = abacus.MODEL, refusal.OUT, refusal.PROMPT
local refused, refused_like = refusal.refused, refusal.refused_like

TestFlags = { setUp = refusal.remove_output }

function TestFlags.test_no_value()
  for _, flag in ipairs { "-m", "-i", "-o", "-n", "-t", "-p", "-s", "-z", "-y", "-b", "-f", "--chunk", "--mode",
    "--input", "--file", "--effort", "--date", "--tools", "--reasoning", "--output", "--steps", "--temperature",
    "--top-p", "--top-k", "--min-p", "--seed", "--tokenizer", "--system", "--slots" } do
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
  for _, n in ipairs { 513, 1024, 2147483647 } do
    refused(MODEL .. " -i x -n " .. n, "-n: want at most 512 for this getp, found " .. n)
  end
  refused(MODEL .. " -i x -b 17", "-b: want at most 16 for this getp, found 17")
  refused(MODEL .. " -i x --chunk 129", "--chunk: want at most 128 for this getp, found 129")
  value_refused("-t", { "", "x", "-1", "-0.001", "1001", "inf", "nan", "1,5" }, "want a number from 0 to 1000")
  value_refused("-p", { "", "x", "-1", "1.001", "nan" }, "want a number from 0 to 1")
  value_refused("--min-p", { "", "x", "-0.1", "1.001", "nan" }, "want a number from 0 to 1")
  value_refused("--top-k", { "", "x", "-1", "1.5", "3000000000" }, "want an integer from 0 to 2147483647")
  value_refused("-s", { "", "x", "-1", " -1", "18446744073709551616", "1.5" }, "want an integer from 0 to 2^64 - 1")
end

function TestFlags.test_values_of_chat()
  local function values(flag, list, message)
    for _, value in ipairs(list) do
      refused(string.format("%s -m chat %s %s </dev/null", MODEL, flag, support.quote(value)),
        string.format('%s: %s, found "%s"', flag, message, value))
    end
  end
  values("--effort", { "", "x", "High", "lowest", "low " }, "want low, medium or high")
  values("--reasoning", { "", "x", "Show", "hidden" }, "want show, hide or only")
  values("--date", { "", "today", "2026-11-31", "2027-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-01-00",
    "2026-1-1", "26-11-27", "2026/11/27", "2026-11-27 ", "2026-11-2x", "-026-11-27", "20261127--" },
    "want a date as YYYY-MM-DD")
  for _, date in ipairs { "2026-11-30", "2028-02-29", "2000-02-29" } do
    lu.assertEquals((abacus.chat("", "--date " .. date)), "")
  end
  refused(MODEL .. " -m chat --tools '' </dev/null", '--tools: want the name of a file, found "": see --help')
  refused(MODEL .. " -m chat -f '' </dev/null", '-f: want the name of a file, found "": see --help')
  refused(MODEL .. " -m chat -y \"$(printf 'a\\377')\" </dev/null", "-y: byte 2: want UTF-8, found 0xff")
  refused(MODEL .. " -m chat -i \"$(printf 'a\\377')\" </dev/null", "-i: byte 2: want UTF-8, found 0xff")
end

function TestFlags.test_special_in_other_modes()
  for _, arguments in ipairs { MODEL .. " -m chat", MODEL .. " -m logits -i x -o x", "decode -i x -z x",
    "pack " .. MODEL .. " -o x" } do
    refused(arguments .. " --special </dev/null", "--special: want -m generate or getp, found another mode: see --help")
  end
end

function TestFlags.test_flags_of_other_modes()
  for _, flag in ipairs { "-y x", "--effort low", "--date 2026-11-27", "--tools x", "--reasoning hide" } do
    local name = flag:match "^%S+"
    for _, rest in ipairs { "-i x", "-m getp -i x -o x", "-m logits -i x -o x" } do
      refused(string.format("%s %s %s", MODEL, rest, flag), name .. ": want -m chat, found another mode: see --help")
    end
    refused("decode -i x -z x " .. flag, name .. ": want -m chat, found another mode: see --help")
    refused(string.format("pack %s -o x %s", MODEL, flag), name .. ": want -m chat, found another mode: see --help")
  end
  for _, rest in ipairs { "-m getp -o x", "-m getp -i x -o x", "-m logits -o x" } do
    refused(string.format("%s %s -f x", MODEL, rest), "-f: want -m generate or chat, found another mode: see --help")
  end
  for _, mode in ipairs { "generate", "chat" } do
    refused(string.format("%s -m %s -i x -f x", MODEL, mode), "-f: want -i or -f, found both: see --help")
  end
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
  refused("decode -i " .. ONE, "CHECKPOINT: want a tokenizer.json, a folder or a packed file, found none: "
    .. "see --help")
  refused("decode -z '' -i " .. ONE, "CHECKPOINT: want a tokenizer.json, a folder or a packed file, found none: "
    .. "see --help")
  refused("decode nowhere -i " .. ONE, "nowhere: No such file or directory")
  refused("decode " .. MODEL .. " -z nowhere -i " .. ONE, "nowhere: No such file or directory")
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

-- ---- what the system grants ----

TestSystem = {}

-- Runs getp after a command of the shell.
local function run_after(command, arguments)
  return support.run(string.format("timeout 60 sh -c %s", support.quote(command .. "; exec " .. abacus.PROGRAM .. " "
    .. arguments)))
end

function TestSystem.test_stacks()
  for _, arguments in ipairs { MODEL .. " -i '1 + 1 ='", "--plan", "decode " .. MODEL .. " -i " .. ONE } do
    for _, kib in ipairs { 16, 1023 } do
      local status, out, err = run_after("ulimit -s " .. kib, arguments)
      lu.assertEquals({ err, out, status },
        { string.format("getp: stack: want at least 1024 KiB, found %d KiB: ulimit -s 8192\n", kib), "", 1 })
    end
  end
  lu.assertEquals(run_after("ulimit -s 1024", MODEL .. " -i '1 + 1 ='"), 0)
end

function TestSystem.test_threads()
  for _, n in ipairs { 1025, 100000, 2000000000 } do
    local status, out, err = run_after("export OMP_NUM_THREADS=" .. n, MODEL .. " -i '1 + 1 ='")
    lu.assertEquals({ err, out, status },
      { string.format("getp: OMP_NUM_THREADS: want at most 1024, found %d\n", n), "", 1 })
  end
  local status, out, err = run_after("export OMP_NUM_THREADS=1000; ulimit -v 1000000", MODEL .. " -i '1 + 1 ='")
  local fewer = err:match "^getp: threads: cannot create 1000 of them: [^:\n]+: OMP_NUM_THREADS=(%d+)\n$"
  lu.assertEquals({ out, status }, { "", 1 })
  lu.assertNotNil(fewer, err)
  lu.assertEquals(run_after("export OMP_NUM_THREADS=" .. fewer .. "; ulimit -v 1000000", MODEL .. " -i '1 + 1 ='"), 0)
end

os.exit(lu.LuaUnit.run())
