-- What chat makes of replies: every kind of header, calls of functions, reasoning, malformed and cut-off replies. Most
-- are those of scripted models.
-- luacheck: globals TestHeaders TestCalls TestReasoning

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus_chat = require "tests.getp.abacus_chat"
local scripted = require "tests.getp.scripted"
local support = require "tests.support"

local GETP, TOOLS = abacus_chat.GETP, " --tools " .. abacus_chat.TOOLS
local chat, count = abacus_chat.chat, abacus_chat.count
local DATE <const> = "--date 2026-11-27 "
local FULL <const> = ": the conversation is full: /new begins a new one\n"
local MALFORMED <const> = "getp: chat: the reply does not keep to the harmony format\n"
local NO_ANSWER <const> = "getp: chat: the reply has no answer\n"

local FINAL <const>, ANALYSIS <const> = { "<|channel|>", "f", "inal" }, { "<|channel|>", "an", "alys", "is" }
local COMMENTARY <const>, JSON <const> = { "<|channel|>", "co", "mm", "entary" }, { "<|constrain|>", "j", "son" }
local TO <const> = { "Ġto", "=functions", ".get", "_code" }
local ARGUMENTS <const> = { "{", '"', "name", '":"', "cedar", '"}' }
local CALL <const> = 'call functions.get_code {"name":"cedar"}\n'

-- One list of the words of all arguments, which are lists or words.
local function script(...)
  local words = {}
  for _, part in ipairs { ... } do
    if type(part) == "string" then part = { part } end
    table.move(part, 1, #part, #words + 1, words)
  end
  return words
end

-- Runs a conversation with a scripted model; the messages come from a file -> { status, stdout, stderr }.
local function say(words, input, flags)
  local model = scripted.model("script", words)
  return { support.run(string.format("%s %s -m chat %s <%s", GETP, model, flags or "",
    support.write("script.txt", input))) }
end

local function check_replies(replies)
  for name, each in pairs(replies) do
    lu.assertEquals(say(each[1], "hi\n", each.flags), { 0, each[2], each[3] }, name)
  end
end

-- ---- headers ----

TestHeaders = {}

function TestHeaders.test_answers()
  check_replies {
    plain = { script(FINAL, "<|message|>", "Hello"), "Hello\n", "" },
    constrain = { script(FINAL, "Ġ", JSON, "<|message|>", "Hello"), "Hello\n", "" },
    constrain_without_a_space = { script(FINAL, JSON, "<|message|>", "Hello"), "Hello\n", "" },
    a_word = { script(FINAL, "Ġjson", "<|message|>", "Hello"), "Hello\n", "" },
    a_space = { script(FINAL, "Ġ", "<|message|>", "Hello"), "Hello\n", "" },
    no_channel = { script("<|message|>", "Hello"), "Hello\n", "" },
    the_end_before_the_return = { script(FINAL, "<|message|>", "Hello", "<|end|>"), "Hello\n", "" },
    end_of_text = { script(FINAL, "<|message|>", "Hello", "<|endoftext|>"), "Hello\n", "" },
    a_call_without_recipient = { script(FINAL, "<|message|>", "Hello", "<|call|>"), "Hello\n", "" },
    nothing_in_it = { script(FINAL, "<|message|>"), "\n", "" },
    a_preamble = { script(COMMENTARY, "<|message|>", "Hello"), "Hello\n", "" },
    reasoning = { script(ANALYSIS, "<|message|>", "Hello"), "\n", "Hello\n" .. NO_ANSWER },
  }
end

function TestHeaders.test_malformed_replies()
  check_replies {
    text_before_a_header = { script("Hello", FINAL, "<|message|>", "!"), "Hello\n!\n", MALFORMED },
    text_without_a_header = { script("Hello", "!"), "Hello!\n", MALFORMED },
    an_unknown_channel = { script("<|channel|>", "x", "<|message|>", "Hello"), "\n", "Hello\n" .. MALFORMED },
    a_message_of_the_user = { script("<|start|>", "user", "<|message|>", "Hello"), "\n", "Hello\n" .. MALFORMED },
    nothing = { script "<|return|>", "\n", NO_ANSWER },
    half_a_character = { script(FINAL, "<|message|>", "Hello", "â", "Ľ"), "Hello\u{FFFD}\n", "" },
  }
end

-- Endless repetitions fill the context. Only the answer is in the history.
function TestHeaders.test_cut_off_replies()
  local tokens = count("hi", DATE .. "-n 2")
  local flags = DATE .. "-n " .. tokens + 8
  check_replies {
    in_the_answer = { script(FINAL, "<|message|>", "!", "!"), "!!!!\n", "getp: chat: the reply is cut off" .. FULL,
      flags = flags },
    in_reasoning = { script(ANALYSIS, "<|message|>", "!", "!"), "\n", "!!!\ngetp: chat: the reply is cut off" .. FULL,
      flags = flags },
    in_a_call = { script(COMMENTARY, TO, "<|message|>", "!", "!"), "\n",
      "getp: chat: the reply is cut off in the call functions.get_code !!!" .. FULL,
      flags = DATE .. "-n " .. tokens + 12 },
    in_a_header = { script(FINAL, "<|message|>"), "\n",
      'getp: chat: the reply is cut off in the header "<|channel|>final"' .. FULL,
      flags = DATE .. "-n " .. tokens + 3 },
  }
end

-- ---- calls ----

TestCalls = {}

local RESULT <const> = '{"code": 3109}\n'

function TestCalls.test_a_turn()
  local flags = DATE .. "--effort medium" .. TOOLS
  local out, err = chat("What is the code for lantern?\n" .. RESULT .. "8 + 5 =\n", flags)
  lu.assertEquals(out, "3109\n13\n")
  lu.assertEquals(err, 'Look up the code for lantern.\ncall functions.get_code {"name":"lantern"}\nAdd two numbers.\n')
end

-- The model calls again after each result. The reasoning of the turn and all calls stay in the prompt, so each step has
-- as many tokens as the call and its result; after the turn ends without an answer, all of them are forgotten.
function TestCalls.test_several_calls()
  local words = script(TO, COMMENTARY, "Ġ", JSON, "<|message|>", ARGUMENTS, "<|call|>")
  lu.assertEquals(say(words, "hi\n" .. RESULT:rep(3), TOOLS), { 0, "\n",
    CALL:rep(4) .. "getp: chat: the input ended before the result of functions.get_code\n" })
  local one = count("hi\n", DATE .. "-n 2" .. TOOLS)
  -- <|start|>functions.get_code to=assistant<|channel|>commentary<|message|>{"code": 3109}<|end|>
  local result = 6 + 4 + 1 + 10 + 1
  for calls = 1, 3 do
    local tokens = one + calls * (#words + result + 3)
    local got = say(words, "hi\n" .. RESULT:rep(calls) .. "hi\n", DATE .. TOOLS .. " -n " .. tokens)
    local remark = got[3]:match "getp: .*"
    lu.assertEquals(got[1], 1, got[3])
    lu.assertStrContains(remark, "with it the conversation has " .. tokens .. " tokens")
    lu.assertStrMatches(got[3], CALL:rep(calls):gsub("%p", "%%%0") .. "getp: [^\n]+\n" .. CALL:gsub("%p", "%%%0")
      .. "getp: chat: the input ended [^\n]+\n")
  end
end

-- The number of ids between <|message|> and <|end|>.
local function content(message)
  for i, id in ipairs(message) do
    if id == 1533 then return #message - i - 1 end
  end
end

-- The reasoning before a call is in the prompt until the answer comes, then it is not. The numbers are those of a
-- conversation that transformers encoded; only `long`, which leaves no room for a reply, is counted by getp.
function TestCalls.test_reasoning_stays_until_the_answer()
  local conversation = abacus_chat.find("tool", "medium", "code for stone?")
  local flags = abacus_chat.flags(conversation) .. " -n "
  local _, _, user, reasoning, _, result, assistant = table.unpack(abacus_chat.messages(conversation))
  local question, text, long = "What is the code for stone?\n", '{"code": 1394}\n', ("27 + 4 = "):rep(30) .. "\n"
  local more = count(long, flags .. 2) - count(question, flags .. 2) + content(user) -- tokens of `long`
  local during = #conversation.prompt_ids - content(result) + more
  lu.assertEquals(count(question .. long, flags .. during), during)
  local answer = #assistant + #conversation.output_ids
  local after = #conversation.prompt_ids - #reasoning + answer + #user - content(user) + more
  lu.assertEquals(count(question .. text .. long, flags .. after), after)
end

function TestCalls.test_arguments_are_one_line_of_json()
  local function line(...)
    local got = say(script(COMMENTARY, TO, "<|message|>", ...), "hi\n", TOOLS)
    lu.assertEquals({ got[1], got[2] }, { 0, "\n" })
    return got[3]:match "^([^\n]*)\n"
  end
  lu.assertEquals(line("{", "}", "<|call|>"), "call functions.get_code {}")
  lu.assertEquals(line("{", "Ċ", "}", "<|call|>"), "call functions.get_code { }")
  lu.assertEquals(line("{", "Ċ", "<|call|>"), 'call functions.get_code "{\\n"')
  lu.assertEquals(line("Hello", '"', "<|call|>"), 'call functions.get_code "Hello\\""')
  lu.assertEquals(line "<|call|>", 'call functions.get_code ""')
  lu.assertEquals(line("{", "}", "<|return|>"), "call functions.get_code {}", "another end")
end

function TestCalls.test_functions_that_nobody_offered()
  local words = script(TO, COMMENTARY, "<|message|>", ARGUMENTS, "<|call|>")
  local remark = "getp: chat: the reply calls %s, which is no function of --tools: %s\n"
  lu.assertEquals(say(words, "hi\nhi\n"), { 0, "\n\n",
    remark:format("functions.get_code", '{"name":"cedar"}'):rep(2) }, "the next line is a message")
  local other = script(COMMENTARY, "Ġto", "=", "x", "<|message|>", "{", "}", "<|call|>")
  lu.assertEquals(say(other, "hi\n", TOOLS), { 0, "\n", remark:format("x", "{}") })
end

function TestCalls.test_bad_results()
  local flags = DATE .. "--effort low" .. TOOLS
  local out, err = chat('What is the code for lantern?\n\xff\n\n{"code": 3109}\n', flags)
  lu.assertEquals({ out, err }, { "3109\n", 'call functions.get_code {"name":"lantern"}\n'
    .. "getp: the result: byte 1: want UTF-8, found 0xff\n" })
end

function TestCalls.test_bad_files_of_tools()
  local function refused(path, pattern)
    local status, out, err = support.run(string.format("%s %s -m chat --tools %s -i hi </dev/null", GETP,
      abacus_chat.MODEL, path))
    lu.assertEquals({ status, out }, { 1, "" })
    lu.assertStrMatches(err, "getp: " .. pattern .. "\n")
  end
  refused("nowhere.json", "nowhere.json: No such file or directory")
  refused(support.write("bad.json", "[{"), ".*bad.json:1: want JSON, found an error: .*")
  refused(support.write("bad.json", "{}"), ".*bad.json: [^\n]+")
  refused(support.write("bad.json", '[{"name": 5}]'), ".*bad.json: [^\n]*name[^\n]*")
end

-- ---- reasoning ----

TestReasoning = {}

function TestReasoning.test_what_is_shown()
  local flags, input = DATE .. "--effort medium --reasoning ", "28 + 49 =\n8 + 5 =\n"
  local reasoning = "Add two numbers.\nAdd two numbers.\n"
  lu.assertEquals({ chat(input, flags .. "show") }, { "77\n13\n", reasoning })
  lu.assertEquals({ chat(input, flags .. "hide") }, { "77\n13\n", "" })
  lu.assertEquals({ chat(input, flags .. "only") }, { "", reasoning })
end

function TestReasoning.test_calls_and_remarks_are_always_shown()
  local words = script(TO, COMMENTARY, "<|message|>", ARGUMENTS, "<|call|>")
  local remark = "getp: chat: the input ended before the result of functions.get_code\n"
  lu.assertEquals(say(words, "hi\n", TOOLS .. " --reasoning hide"), { 0, "\n", CALL .. remark })
  lu.assertEquals(say(words, "hi\n", TOOLS .. " --reasoning only"), { 0, "", CALL .. remark })
  local user = script("<|start|>", "user", "<|message|>", "Hello")
  lu.assertEquals(say(user, "hi\n", "--reasoning hide"), { 0, "\n", "Hello\n" .. MALFORMED })
end

os.exit(lu.LuaUnit.run())
