-- Bad files of prompts and ids, and output files that cannot be written: getp refuses with one line that names the
-- file, exit status 1, and no output file that is partial or wrong.
-- luacheck: globals TestPrompts TestIds TestOutput

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, TOKENIZER, OUT = abacus.MODEL, abacus.TOKENIZER, refusal.OUT
local GETP, ONE, ANSWER = abacus.GETP, refusal.PROMPT, refusal.ANSWER
local run, refused, assert_no_output = refusal.run, refusal.refused, refusal.assert_no_output
local remove_output = refusal.remove_output

-- ---- files of prompts ----

TestPrompts = { setUp = remove_output }

local PROMPTS = support.scratch .. "/bad.txt"

-- The arguments of `-m getp` on a file of prompts with this text.
local function prompts(text)
  return string.format("%s -m getp -i %s -o %s", MODEL, support.write("bad.txt", text), OUT)
end

function TestPrompts.test_no_file()
  local on = MODEL .. " -m getp -o " .. OUT .. " -i "
  refused(on .. "nowhere", "nowhere: No such file or directory")
  refused(on .. "tests", "tests: Is a directory")
  refused(on .. "''", '-i: want a text or the name of a file, found "": see --help')
  assert_no_output("no file")
end

local FIRST_LINE <const> = "want the number of prompts, and one prompt per line after it"

function TestPrompts.test_number()
  for _, line in ipairs { "", "x", "-1", "+1", " 1", "1 ", "1x", "0x1", "1.0", "2147483648", "4294967297",
    "99999999999999999999", "What is 27 + 4?", "1\r1", "\0", "\xEF\xBB\xBF\xEF\xBB\xBF1" } do
    local found = line:gsub("^\xEF\xBB\xBF", ""):gsub("\r", "?"):gsub("%z", "")
    refused(prompts(line .. "\n0 * 4 =\n"),
      string.format('%s:1: %s, found "%s"', PROMPTS, FIRST_LINE, found))
  end
  local long = ("1"):rep(50)
  refused(prompts(long), string.format('%s:1: %s, found "%s"', PROMPTS, FIRST_LINE, long:sub(1, 40)))
  refused(prompts "", PROMPTS .. ":1: " .. FIRST_LINE .. ", found nothing")
  refused(prompts "\xEF\xBB\xBF", PROMPTS .. ":1: " .. FIRST_LINE .. ", found nothing")
  for _, mark in ipairs { "\xFF\xFE1\0\n\0", "\xFE\xFF\0001\0\n" } do
    refused(prompts(mark), PROMPTS .. ": want UTF-8, found UTF-16: save the file as UTF-8")
  end
  assert_no_output("number")
end

function TestPrompts.test_fewer_prompts_than_the_number()
  refused(prompts "1\n", PROMPTS .. ":2: want prompt 1 of the 1 in line 1, found the end of the file")
  refused(prompts "3\n0 * 4 =\n1 + 1 =", PROMPTS .. ":4: want prompt 3 of the 3 in line 1, found the end of the file")
  refused(prompts "2147483647\n0 * 4 =\n",
    PROMPTS .. ":3: want prompt 2 of the 2147483647 in line 1, found the end of the file")
  assert_no_output("fewer prompts")
end

function TestPrompts.test_more_prompts_than_the_number()
  local want = ": want no line after the number of prompts in line 1, %d, found \"%s\""
  refused(prompts "1\n0 * 4 =\n1 + 1 =\n", PROMPTS .. ":3" .. want:format(1, "1 + 1 ="))
  refused(prompts "1\r\n0 * 4 =\r\n\r\n1 + 1 =\r\n", PROMPTS .. ":4" .. want:format(1, "1 + 1 ="))
  refused(prompts "0\nx", PROMPTS .. ":2" .. want:format(0, "x"))
  assert_no_output("more prompts")
end

-- /dev/zero has no end. A limit on the memory stands for a machine that has less.
function TestPrompts.test_a_file_without_end()
  refused(MODEL .. " -m getp -i /dev/zero -o " .. OUT, "/dev/zero: want at most 1073741824 bytes, found more")
  local status, _, err = support.run(string.format("ulimit -v 1000000; %s %s -m getp -i /dev/zero -o %s", GETP, MODEL,
    OUT))
  lu.assertEquals(status, 1)
  lu.assertStrMatches(err, "getp: /dev/zero: out of memory for %d+ bytes\n")
  assert_no_output("a file without end")
end

-- A pipe is as good as a file.
function TestPrompts.test_a_pipe()
  local status = support.run(string.format("cat %s | %s %s -m getp -i /dev/stdin -o %s", ONE, GETP, MODEL, OUT))
  lu.assertEquals({ status, support.read(OUT) }, { 0, ANSWER })
end

function TestPrompts.test_text()
  refused(prompts "2\n0 * 4 =\n\n", PROMPTS .. ":3: want at least one character, found none")
  refused(prompts "1\nab\0c\n", PROMPTS .. ":2: byte 3: want a character, found NUL")
  local bad = { overlong = "\xC0\x80", ["overlong of three"] = "\xE0\x80\xAF", surrogate = "\xED\xA0\x80",
    ["lone continuation"] = "\x80", ["cut off"] = "\xE2\x82", ["beyond 10FFFF"] = "\xF4\x90\x80\x80", latin = "\xFF" }
  for name, bytes in pairs(bad) do
    local status, _, err = run(prompts("2\n0 * 4 =\nab" .. bytes .. "\n"))
    local want = string.format("getp: %s:3: byte 3: want UTF-8, found 0x%02x\n", PROMPTS, bytes:byte())
    lu.assertEquals({ err, status }, { want, 1 }, name)
  end
  assert_no_output("text")
end

function TestPrompts.test_a_line_of_a_million_characters()
  for _, line in ipairs { ("a"):rep(1000000), (" "):rep(1000000), ("語"):rep(1000000), ("word 12 "):rep(125000) } do
    local status, _, err = run(prompts("2\n0 * 4 =\n" .. line .. "\n"))
    lu.assertStrMatches(err, "getp: " .. PROMPTS
      .. ":3: want fewer than 512 tokens, but the prompt has %d+ tokens: its line is empty\n")
    lu.assertEquals({ status, support.read(OUT) }, { 1, ANSWER .. "\n" })
  end
end

-- "0 * 4 =" has 5 tokens.
function TestPrompts.test_a_prompt_of_max_tokens()
  local at = prompts "1\n0 * 4 =\n"
  refused(at .. " -n 5", PROMPTS .. ":2: want fewer than 5 tokens, but the prompt has 5 tokens: its line is empty")
  lu.assertEquals(support.read(OUT), "\n")
  for max_tokens, want in pairs { [6] = "220\n", [7] = "220 15\n", [8] = ANSWER, [9] = ANSWER } do
    lu.assertEquals((run(at .. " -n " .. max_tokens)), 0)
    lu.assertEquals(support.read(OUT), want)
  end
end

-- A carriage return at the end of a line is none of the prompt, which has 5 tokens; any other one is a character.
function TestPrompts.test_carriage_returns()
  lu.assertEquals(run(prompts "1\r\n0 * 4 =\r\n" .. " -n 8"), 0)
  lu.assertEquals(support.read(OUT), ANSWER)
  refused(prompts "1\n0 * 4 =\r\r\n" .. " -n 6",
    PROMPTS .. ":2: want fewer than 6 tokens, but the prompt has 6 tokens: its line is empty")
end

-- ---- files of ids ----

TestIds = { setUp = remove_output }

local IDS = support.scratch .. "/bad_input.ids"

-- The arguments of `-m logits` on a file of ids with this text.
local function on_ids(text)
  support.write("bad_input.ids", text)
  return string.format("%s -m logits -i %s -o %s", MODEL, IDS, OUT)
end

function TestIds.test_not_ids()
  for _, line in ipairs { "x", "1 1024", "-1", "1,2", "0x1", "1.0", "99999999999999999999", "1\0002", "１" } do
    local message = IDS .. ":2: want token ids from 0 to 1023 separated by spaces"
    refused(on_ids("1\n" .. line .. "\n"), message)
    refused(string.format("decode -z %s -i %s", TOKENIZER, IDS), message)
  end
  assert_no_output("not ids")
end

function TestIds.test_lengths()
  refused(on_ids "1\n\n2\n", IDS .. ":2: want 1 to 512 ids, found 0")
  refused(on_ids("1\n" .. ("1 "):rep(513)), IDS .. ":2: want 1 to 512 ids, found 513")
  refused(string.format("%s -m logits -i nowhere -o %s", MODEL, OUT), "nowhere: No such file or directory")
  refused("decode -i nowhere -z " .. TOKENIZER, "nowhere: No such file or directory")
  assert_no_output("lengths")
end

-- ---- output files ----

TestOutput = { setUp = remove_output }

-- Arguments that end with -o: the name of the output file follows.
local GETP_TO = string.format("%s -m getp -i tests/demo/prompts.txt -o ", MODEL)
local LOGITS_TO = string.format("%s -m logits -i %s -o ", MODEL, support.ids("two.ids", { { 1, 2, 3 }, { 4, 5 } }))

function TestOutput.test_names()
  refused(GETP_TO .. ONE .. "/ids", ONE .. "/ids.part: Not a directory")
  refused(GETP_TO .. "/proc/ids", "/proc/ids: No such file or directory")
  refused(GETP_TO .. "tests", "tests: want a file, found a folder")
  refused(GETP_TO .. "''", '-o: want the name of a file, found "": see --help')
  refused(GETP_TO .. "/dev/full", "/dev/full: No space left on device")
  refused(LOGITS_TO .. ONE .. "/f32", ONE .. "/f32: Not a directory")
  refused(LOGITS_TO .. "/proc/f32", "/proc/f32: No such file or directory")
  refused(LOGITS_TO .. "tests", "tests: want a file, found a folder")
  refused(LOGITS_TO .. "/dev/full", "/dev/full: No space left on device")
end

-- A file that may not grow, as on a full disk: the old output file stays.
function TestOutput.test_no_room()
  for arguments, ending in pairs { [GETP_TO] = ".part", [LOGITS_TO] = "" } do
    support.write("bad.ids", "old\n")
    local status, _, err = support.run("ulimit -f 2; " .. GETP .. " " .. arguments .. OUT)
    lu.assertEquals({ err, status }, { "getp: " .. OUT .. ending .. ": File too large\n", 1 })
    lu.assertEquals(support.read(OUT), "old\n")
    os.remove(OUT .. ".part")
  end
end

-- A file that getp opens must not get the number of a closed stream, and with it what is printed.
function TestOutput.test_standard_output()
  local generate = MODEL .. " -i '0 * 4 ='"
  local decode = string.format("decode -z %s -i %s", TOKENIZER, support.ids("two.ids", { { 1, 2, 3 }, { 4, 5 } }))
  for _, arguments in ipairs { "--help", GETP_TO .. OUT, decode } do
    refused(arguments .. " >&-", "standard output: Bad file descriptor")
    refused(arguments .. " >/dev/full", "standard output: No space left on device")
  end
  local want = support.read(OUT)
  lu.assertEquals(run(GETP_TO .. OUT), 0)
  lu.assertEquals(want, support.read(OUT))
  lu.assertEquals(run(GETP_TO .. OUT .. " 2>&- <&-"), 0)
  lu.assertEquals(want, support.read(OUT))
  for _, where in ipairs { ">&-", ">/dev/full" } do
    local status, _, err = run(generate .. " " .. where)
    lu.assertStrMatches(err, "achieved tok/s: [%d.]+\ngetp: standard output: [^\n]+\n")
    lu.assertEquals(status, 1)
  end
end

function TestOutput.test_standard_error()
  local demo = abacus.demo_prompts()
  local long = support.prompts("bad.txt", { ("a"):rep(600), table.unpack(demo) })
  local arguments = string.format("%s -m getp -i %s -o %s", MODEL, long, OUT)
  lu.assertEquals(support.run("ulimit -f 1; " .. GETP .. " " .. arguments .. " 2>&-"), 1)
  lu.assertStrMatches(support.read(OUT .. ".part"):gsub("%d+", "1"), "getp journal 1! [^\n]+\n1 failed: \n1: 1[1: \n]+")
end

os.exit(lu.LuaUnit.run())
