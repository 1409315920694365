-- `-m chat`: answers, the history of a conversation, what is forgotten, signals.
-- luacheck: globals TestChat

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local MODEL, TOKENIZER, GETP, PROGRAM = abacus.MODEL, abacus.TOKENIZER, abacus.GETP, abacus.PROGRAM
local run, chat, logits, decode = abacus.run, abacus.chat, abacus.logits, abacus.decode
local REFERENCE, STOP = abacus.REFERENCE, abacus.STOP

TestChat = {}

function TestChat.test_answers()
  for question, answer in pairs { ["47 + 85 ="] = "132", ["What is the capital of Mongolia?"] = "Ulan Bator",
    ["Reverse h n u n j."] = "j n u n h", ["Which is larger, 471 or 417?"] = "471" } do
    for _, input in ipairs { question .. "\n", question, "\n\n" .. question .. "\n\n" } do
      local out, err = chat(input)
      lu.assertEquals({ out, err }, { answer .. "\n", "" }, question)
    end
    lu.assertEquals((chat("", "-i '" .. question .. "'")), answer .. "\n")
  end
  lu.assertEquals({ chat "" }, { "", "" })
end

-- The ids of a word, by the merges of tokenizer.json in their order.
local function word_ids(word)
  local model, pieces = json.decode(support.read(TOKENIZER)).model, {}
  for character in word:gmatch(".") do pieces[#pieces + 1] = character end
  for _, merge in ipairs(model.merges) do
    local left, right = merge[1], merge[2]
    if type(merge) == "string" then left, right = merge:match("^(.+) (.+)$") end
    for i = #pieces - 1, 1, -1 do
      if pieces[i] == left and pieces[i + 1] == right then
        pieces[i] = left .. right
        table.remove(pieces, i + 1)
      end
    end
  end
  local ids = {}
  for i, piece in ipairs(pieces) do ids[i] = assert(model.vocab[piece], piece) end
  return ids
end

local CHANNEL <const>, START <const>, END <const>, MESSAGE <const> = 1018, 1019, 1020, 1021

local function extend(ids, ...)
  for _, more in ipairs { ... } do table.move(more, 1, #more, #ids + 1, ids) end
  return ids
end

-- The reply to a conversation without the stop id: each id is picked from the logits of all ids before it.
local function greedy_reply(ids)
  local reply = {}
  while true do
    local all = extend({}, ids, reply)
    local id = abacus.best_id(logits { all }, #all)
    if STOP[id] then return reply end
    reply[#reply + 1] = id
  end
end

-- The ids of the user's text in a sequence of the reference.
local function question_ids(sequence) return { table.unpack(sequence, 1, abacus.prompt_length(sequence)) } end

-- The answers by the format of a conversation and the logits.
local function expected_answers(questions, system)
  local history, answers = {}, {}
  if system then extend(history, { START }, word_ids "system", { MESSAGE }, system, { END }) end
  for i, question in ipairs(questions) do
    extend(history, { START }, word_ids "user", { MESSAGE }, question, { END })
    local reply = greedy_reply(extend({}, history, { START }, word_ids "assistant"))
    local head = extend({ CHANNEL }, word_ids "final", { MESSAGE })
    lu.assertEquals({ table.unpack(reply, 1, #head) }, head)
    extend(history, { START }, word_ids "assistant", reply, { END })
    answers[i] = decode { { table.unpack(reply, #head + 1) } }[1]
  end
  return answers
end

function TestChat.test_history()
  local questions, system = {}, question_ids(REFERENCE.sequences[21])
  for _, i in ipairs { 19, 1, 13 } do questions[#questions + 1] = question_ids(REFERENCE.sequences[i]) end
  local texts, without = decode(questions), table.concat(expected_answers(questions), "\n") .. "\n"
  local input = table.concat(texts, "\n") .. "\n"
  lu.assertEquals({ chat(input) }, { without, "" })
  for _, flags in ipairs { "--chunk 1", "--chunk 5", "-b 1", "-b 3" } do
    lu.assertEquals((chat(input, flags)), without, flags)
  end
  lu.assertEquals((chat(table.concat(texts, "\n", 2), "-i '" .. texts[1] .. "'")), without)
  local with = table.concat(expected_answers(questions, system), "\n") .. "\n"
  lu.assertEquals((chat(input, "-y '" .. decode({ system })[1] .. "'")), with)
end

-- A turn without an answer is forgotten. The cache goes back a few positions (6, 8), or further than the ring of the
-- sliding layers reaches (12 fills the context, 30 has 180 tokens), even into the system message.
function TestChat.test_forgotten_turns()
  local function forgets(times, flags)
    lu.assertEquals((chat(("q w e r t y "):rep(times) .. "\n47 + 85 =\n", flags)), "\n132\n", times)
  end
  for _, times in ipairs { 6, 8, 12, 40 } do forgets(times, "") end
  for _, times in ipairs { 30, 50 } do forgets(times, "-y 'Rain fell on the roof. Snow covered the hills.'") end
end

function TestChat.test_bad_lines_are_skipped()
  local out, err = chat("47 + \xff85 =\n\xed\xa0\x80\na\0b\n47 + 85 =\n")
  lu.assertEquals(out, "132\n")
  lu.assertEquals(err, "getp: the message: byte 6: want UTF-8, found 0xff\n"
    .. "getp: the message: byte 1: want UTF-8, found 0xed\ngetp: the message: byte 2: want a character, found NUL\n")
end

function TestChat.test_max_tokens()
  local status, out, err = support.run(string.format("%s %s -m chat <%s", GETP, MODEL,
    support.write("chat.txt", "47 + 85 =\n" .. ("a"):rep(3000) .. "\n")))
  lu.assertEquals({ status, out }, { 1, "132\n" })
  lu.assertStrMatches(err, "getp: chat: want a conversation of fewer than 512 tokens, found %d+: start a new one\n")
  local _, remark = chat("47 + 85 =\n", "-n 24")
  lu.assertEquals(remark, "getp: chat: the conversation is full: it has 24 tokens\n")
end

function TestChat.test_seeds()
  local others = 0
  for seed = 1, 6 do
    local flags = "-t 3 -p 1 -s " .. seed
    local out, greedy = chat("Who are you?\n", flags), chat("Who are you?\n", "-s " .. seed)
    lu.assertEquals((chat("Who are you?\n", flags)), out)
    lu.assertEquals(greedy, "I am abacus, a tiny mixture of experts.\n")
    if out ~= greedy then others = others + 1 end
  end
  lu.assertTrue(others > 0)
end

-- Runs a chat whose stdin is a pipe, while the shell runs `commands` -> status, stdout, stderr.
local function chat_during(flags, environment, commands)
  return support.run(string.format([[
    fifo=%s/chat.fifo; rm -f $fifo; mkfifo $fifo
    %s %s %s -m chat %s <$fifo & chat=$!
    exec 3>$fifo
    %s
    exec 3>&-; wait $chat]], support.scratch, environment, PROGRAM, MODEL, flags, commands))
end

-- The signal must come while the engine reads the 480 tokens one by one, for 0.2 s to 1 s; so several delays are
-- tried. The answer to the first message would be 4821.
function TestChat.test_ctrl_c_stops_only_the_turn()
  local long = "The code for river is 4821. " .. ("The wind moved the leaves. "):rep(60)
  local path = support.write("long.txt", long .. "What is the code for river?\n")
  lu.assertEquals((chat(support.read(path))), "4821\n")
  local status, out, err
  for _, seconds in ipairs { 0.3, 0.1, 0.05, 0.6 } do
    status, out, err = chat_during("--chunk 1", "OMP_NUM_THREADS=4", string.format(
      "cat %s >&3; sleep %s; kill -INT $chat; echo '47 + 85 =' >&3 2>/dev/null", path, seconds))
    if status == 0 and not out:find "4821" then break end
  end
  lu.assertEquals({ status, out, err }, { 0, "\n132\n", "" })
end

-- The reply to this message would fill the context; it is stopped after it has begun.
function TestChat.test_ctrl_c_keeps_the_answer_so_far()
  local message = ("zz "):rep(20)
  local whole = run(string.format("%s -m chat -i '%s' </dev/null", MODEL, message))
  local status, out, err = chat_during("", "OMP_NUM_THREADS=4", string.format([[echo '%s' >&3
    for i in $(seq 500); do [ -s %s/stdout ] && break; sleep 0.02; done
    kill -INT $chat; echo '47 + 85 =' >&3]], message, support.scratch))
  local lines = support.lines(out)
  lu.assertEquals({ status, #lines, err }, { 0, 2, "" })
  lu.assertTrue(#lines[1] > 0 and #lines[1] < #whole // 2)
  lu.assertStrContains(whole, lines[1])
end

function TestChat.test_signals_between_turns()
  for signal, number in pairs { INT = 2, TERM = 15 } do
    local status, out, err = chat_during("", "", string.format([[echo '47 + 85 =' >&3
      for i in $(seq 500); do [ -s %s/stdout ] && break; sleep 0.02; done
      sleep 0.1; kill -%s $chat]], support.scratch, signal))
    lu.assertEquals({ status, out, err }, { 128 + number, "132\n", "" })
  end
end

os.exit(lu.LuaUnit.run())
