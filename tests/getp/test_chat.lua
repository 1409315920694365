-- `-m chat`: answers, the history of a conversation, what is forgotten, signals.
-- luacheck: globals TestChat TestSignals

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus_chat = require "tests.getp.abacus_chat"
local scripted = require "tests.getp.scripted"
local support = require "tests.support"

local MODEL, GETP, PROGRAM = abacus_chat.MODEL, abacus_chat.GETP, abacus_chat.PROGRAM
local chat, try, count, find = abacus_chat.chat, abacus_chat.try, abacus_chat.count, abacus_chat.find
local DATE <const> = "--date 2026-11-27"

local FULL <const> = ": the conversation is full: /new begins a new one\n"
local CUT <const> = "getp: chat: the reply is cut off" .. FULL
local CUT_IN_HEADER <const> = 'getp: chat: the reply is cut off in the header "<|channel|>f"' .. FULL

TestChat = {}

function TestChat.test_answers()
  for question, answer in pairs { ["64 + 18 ="] = "82", ["What is the capital of Chile?"] = "Santiago",
    ["Reverse n o f."] = "f o n", ["Which is larger, 121 or 897?"] = "897" } do
    for _, input in ipairs { question .. "\n", question, "\n\n" .. question .. "\n\n" } do
      lu.assertEquals({ chat(input, DATE .. " --effort low") }, { answer .. "\n", "" }, question)
    end
    lu.assertEquals((chat("", "--effort low -i '" .. question .. "'")), answer .. "\n")
  end
  lu.assertEquals({ chat "" }, { "", "" })
end

-- ---- the system message ----

function TestChat.test_effort()
  local reasoning = { low = "", medium = "Add two numbers.\n",
    high = "Add two numbers. 8 + 9 = 17. 2 + 4 + 1 = 7. So 77.\n" }
  for effort, text in pairs(reasoning) do
    lu.assertEquals({ chat("28 + 49 =\n", DATE .. " --effort " .. effort) }, { "77\n", text })
  end
  lu.assertEquals({ chat("28 + 49 =\n", DATE) }, { "77\n", reasoning.medium })
end

function TestChat.test_date()
  local question = "What is the date today?"
  for _, date in ipairs { "2026-11-27", "2024-02-29", "2027-03-01" } do
    lu.assertEquals((chat(question, "--date " .. date)), date .. "\n")
  end
  local before = os.date "%Y-%m-%d"
  local today = chat(question)
  lu.assertTrue(today == before .. "\n" or today == os.date "%Y-%m-%d" .. "\n", today)
  local _, there = support.run("TZ=UTC-14 date +%F")
  local _, out = support.run(string.format("TZ=UTC-14 %s %s -m chat -i '%s' </dev/null", GETP, MODEL, question))
  lu.assertEquals(out, there, "the local date")
end

function TestChat.test_instructions()
  local flags = DATE .. " --effort low "
  lu.assertEquals((chat("What is the capital of Chile?\n", flags .. "-y 'Answer in upper case.'")), "SANTIAGO\n")
  local answer = "-y 'Begin every answer with the word Answer and a colon.'"
  lu.assertEquals((chat("What is the capital of Chile?\n", flags .. answer)), "Answer: Santiago\n")
end

-- The prompts have as many tokens as those that transformers encoded.
function TestChat.test_the_number_of_tokens()
  for i = 1, #abacus_chat.CONVERSATIONS, 5 do
    local conversation = abacus_chat.CONVERSATIONS[i]
    local messages = abacus_chat.messages(conversation)
    local question = conversation.prompt:match "<|start|>user<|message|>([^<]*)<|end|><|start|>assistant$"
    if question and not conversation.prompt:find "<|start|>user.*<|start|>user" then
      lu.assertEquals(count(question, "-n 2 " .. abacus_chat.flags(conversation)), #conversation.prompt_ids,
        conversation.prompt)
      lu.assertTrue(#messages >= 3)
    end
  end
end

-- ---- the history ----

-- Three questions after the system and developer message of a conversation -> flags, texts, what must come on stdout
-- and stderr, the history after it, the number of tokens before the first question.
local function three_questions()
  local head = find("add", "medium", "# Instructions")
  local messages, questions, texts = abacus_chat.messages(head), {}, {}
  for i, each in ipairs { find("sort", "low", "Sort 31 38 8."), find("capital", "low", "capital of Samoa"), head } do
    local all = abacus_chat.messages(each)
    questions[i] = all[#all - 1]
    texts[i] = each.prompt:match "<|message|>([^<]*)<|end|><|start|>assistant$"
  end
  local out, err, history = abacus_chat.expected({ messages[1], messages[2] }, questions)
  return abacus_chat.flags(head), texts, out, err, history, #messages[1] + #messages[2]
end

function TestChat.test_history()
  local flags, texts, out, err, history, head = three_questions()
  local input = table.concat(texts, "\n") .. "\n"
  lu.assertEquals({ chat(input, flags) }, { out, err })
  lu.assertEquals(#support.lines(err), 3, "a line of reasoning before each answer")
  for _, more in ipairs { " --chunk 5", " -b 1" } do
    lu.assertEquals({ chat(input, flags .. more) }, { out, err }, more)
  end
  lu.assertEquals((chat(table.concat(texts, "\n", 2), flags .. " -i '" .. texts[1] .. "'")), out)
  -- The next prompt has the history without reasoning. `long` needs more room than the replies before it.
  local long = ("27 + 4 = "):rep(20)
  local tokens = #history - head + count(long, flags .. " -n 2")
  lu.assertEquals(count(input .. long .. "\n", flags .. " -n " .. tokens), tokens)
end

-- ---- what is forgotten ----

-- A turn that is cut off before its answer is forgotten. The cache goes back a few positions, or further than the ring
-- of the sliding layers reaches.
function TestChat.test_forgotten_turns()
  local flags = DATE .. " --effort low -n "
  local want = chat("8 + 5 =\n", DATE .. " --effort low")
  for _, times in ipairs { 2, 8, 14, 15, 16, 17, 30, 60 } do
    local long = ("Sort 9 46 30. "):rep(times) .. "\n"
    local out, err = chat(long .. "8 + 5 =\n", flags .. count(long, flags .. 2) + 2)
    lu.assertEquals({ out, err }, { "\n" .. want, CUT_IN_HEADER }, times)
  end
end

-- The first turn writes far into the rings of 160 positions, the second goes back and is short, the third goes back
-- further. What it needs was lost in the first turn, though the second ended less than 128 positions after it.
function TestChat.test_going_back_twice()
  local flags = DATE .. " --effort low"
  local function tokens(message) return count(message, flags .. " -n 2") end
  local part, third = "27 + 4 = ", "Reverse w d u x l j h t g."
  local step = tokens(part:rep(3)) - tokens(part:rep(2))
  local want = chat(third .. "\n", flags)
  for _, room in ipairs { 140, 150, 160, 170, 180, 190 } do
    local first, second = part:rep(room // step), part:rep(room // step - 100 // step)
    local out = chat(table.concat({ first, "/new", second, "/new", third }, "\n") .. "\n", flags)
    lu.assertEquals(support.lines(out)[3] .. "\n", want, room)
  end
end

function TestChat.test_new()
  local flags = DATE .. " --effort low"
  local one = count("8 + 5 =\n", flags .. " -n 2")
  local full = count("8 + 5 =\n8 + 5 =\n", flags .. " -n " .. one + 6)
  lu.assertTrue(full > one + 6, full)
  lu.assertNil(count("8 + 5 =\n/new\n8 + 5 =\n", flags .. " -n " .. one + 6))
  lu.assertEquals((chat("8 + 5 =\n/new\n/new\n8 + 5 =\n", flags .. " -n " .. one + 6)), "13\n13\n")
end

function TestChat.test_bad_messages_are_refused()
  local status, out, err = try("47 + \xff85 =\n\xed\xa0\x80\na\0b\n64 + 18 =\n", DATE .. " --effort low")
  lu.assertEquals({ status, out }, { 1, "\n\n\n82\n" })
  lu.assertEquals(err, "getp: the message: byte 6: want UTF-8, found 0xff\n"
    .. "getp: the message: byte 1: want UTF-8, found 0xed\ngetp: the message: byte 2: want a character, found NUL\n")
end

function TestChat.test_max_tokens()
  local flags = DATE .. " --effort low"
  local status, out, err = try("64 + 18 =\n" .. ("a"):rep(3000) .. "\n8 + 5 =\n", flags)
  lu.assertEquals({ status, out }, { 1, "82\n\n13\n" })
  lu.assertStrMatches(err, "getp: chat: not sent: with it the conversation has %d+ tokens, want fewer than 1024: "
    .. "send a shorter message, or begin a new conversation with /new\n")
  local question = "Count from 43 to 47.\n"
  local answer, remark = chat(question, flags .. " -n " .. count(question, flags .. " -n 2") + 10)
  lu.assertEquals({ answer, remark }, { "43 44 \n", CUT })
end

function TestChat.test_seeds()
  local others = 0
  for seed = 1, 6 do
    local flags = DATE .. " -t 3 -p 1 -s " .. seed
    local out = chat("Who are you?\n", flags)
    local greedy = chat("Who are you?\n", DATE .. " -s " .. seed)
    lu.assertEquals((chat("Who are you?\n", flags)), out)
    lu.assertEquals(greedy, "I am abacus, a tiny mixture of experts.\n")
    if out ~= greedy then others = others + 1 end
  end
  lu.assertTrue(others > 0)
end

-- ---- signals ----

TestSignals = {}

-- Runs a chat whose stdin is a pipe, while the shell runs `commands` -> status, stdout, stderr.
local function chat_during(model, flags, environment, commands, program)
  return support.run(string.format([[
    fifo=%s/chat.fifo; rm -f $fifo; mkfifo $fifo
    %s %s %s -m chat %s <$fifo & chat=$!
    exec 3>$fifo
    %s
    exec 3>&-; wait $chat]], support.scratch, environment, program or PROGRAM, model, flags, commands))
end

-- The signal must come while the engine reads some 900 tokens one by one; so several delays are tried.
function TestSignals.test_ctrl_c_stops_only_the_turn()
  local path = support.write("long.txt", ("The wind moved the leaves. "):rep(110) .. "27 + 4 =\n")
  lu.assertEquals(#chat(support.read(path), DATE .. " --effort low") > 1, true)
  local status, out, err
  for _, seconds in ipairs { 0.3, 0.1, 0.05, 0.6 } do
    status, out, err = chat_during(MODEL, "--chunk 1 --effort low " .. DATE, "OMP_NUM_THREADS=4", string.format(
      "cat %s >&3; sleep %s; kill -INT $chat; sleep 0.1; echo '8 + 5 =' >&3 2>/dev/null", path, seconds))
    if status == 0 and out == "\n13\n" then break end
  end
  lu.assertEquals({ status, out, err }, { 0, "\n13\n", "" })
end

-- Counts `!` up to the end of the context: the model says this for ever.
local function endless()
  return scripted.model("endless", { "<|channel|>", "final", "<|message|>", "!", "!" })
end

-- The reply to this message would fill the context; it is stopped after it has begun.
function TestSignals.test_ctrl_c_keeps_the_answer_so_far()
  local status, out, err = chat_during(endless(), "--chunk 1", "OMP_NUM_THREADS=4", string.format([[echo hi >&3
    for i in $(seq 500); do [ -s %s/stdout ] && break; sleep 0.02; done
    kill -INT $chat; sleep 0.2; echo hi >&3]], support.scratch), support.getp "abacus-cpu")
  local lines = support.lines(out)
  lu.assertEquals({ status, #lines }, { 0, 2 }, err)
  lu.assertStrMatches(lines[1], "!+")
  lu.assertStrMatches(lines[2], "!+")
  lu.assertTrue(#lines[1] < #lines[2] + 300, "the second reply has the room that the first left")
  lu.assertEquals(err, CUT)
end

function TestSignals.test_signals_between_turns()
  for signal, number in pairs { INT = 2, TERM = 15 } do
    local status, out, err = chat_during(MODEL, "--effort low " .. DATE, "", string.format([[echo '8 + 5 =' >&3
      for i in $(seq 500); do [ -s %s/stdout ] && break; sleep 0.02; done
      sleep 0.1; kill -%s $chat]], support.scratch, signal))
    lu.assertEquals({ status, out, err }, { 128 + number, "13\n", "" })
  end
end

os.exit(lu.LuaUnit.run())
