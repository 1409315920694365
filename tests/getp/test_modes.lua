-- What the modes of getp do with good input, to the byte, and that a result depends neither on its
-- neighbours nor on slots, chunks and threads.
-- luacheck: globals TestGetp TestSampling TestBatch TestGenerate TestDecode TestLogits TestChat TestCommandLine

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local support = require "tests.support"

local PROGRAM = support.getp("abacus-cpu")
local GETP = "timeout 20 " .. PROGRAM
local MODEL = "tests/models/abacus"
local TOKENIZER = MODEL .. "/tokenizer.json"
local DEMO = "tests/demo/prompts.txt"
local OUT = support.scratch .. "/modes.out"
local VOCAB, CONTEXT = 1024, 512
local STOP = { [1015] = true, [1016] = true, [1022] = true }
local NUMBER = "%d+%.%d%d%d%d%d%d"

-- Runs getp, which must succeed -> stdout, stderr.
local function run(arguments, environment)
  local status, out, err = support.run(string.format("%s %s %s", environment or "", GETP, arguments))
  lu.assertEquals(status, 0, arguments .. ": " .. err)
  return out, err
end

-- The output file of getp on a file of prompts.
local function getp(prompts, flags, environment)
  run(string.format("%s -m getp -i %s -o %s %s", MODEL, prompts, OUT, flags or ""), environment)
  return support.read(OUT)
end

-- The file that logits mode makes of sequences.
local function logits(sequences, flags, environment)
  local ids = support.ids("modes.ids", sequences)
  run(string.format("%s -m logits -i %s -o %s %s", MODEL, ids, OUT, flags or ""), environment)
  return support.read(OUT)
end

local function decode(sequences)
  local out = run(string.format("decode -z %s -i %s", TOKENIZER, support.ids("modes.ids", sequences)))
  return support.lines(out)
end

-- The most probable id by row `row` (from 1) of logits.
local function best_of(bytes, row)
  local best, highest
  for id = 0, VOCAB - 1 do
    local value = string.unpack("<f", bytes, 4 * ((row - 1) * VOCAB + id) + 1)
    if not highest or value > highest then best, highest = id, value end
  end
  return best
end

local function demo_prompts()
  local lines = support.lines(support.read(DEMO))
  return { table.unpack(lines, 2) }
end

local REFERENCE = json.decode(support.read(MODEL .. "/reference.json"))

-- ---- getp ----

TestGetp = {}

function TestGetp.test_output_and_report()
  support.write("modes.out", "what an earlier run left\n")
  local out, err = run(string.format("%s -m getp -i %s -o %s", MODEL, DEMO, OUT))
  local lines, ids = support.lines(support.read(OUT)), 0
  lu.assertEquals(#lines, #demo_prompts())
  lu.assertEquals(table.concat(lines, "\n") .. "\n", support.read(OUT))
  for _, line in ipairs(lines) do
    lu.assertStrMatches((line:gsub("%d+", "1")), "[1 ]+1")
    lu.assertNotStrContains(line, "  ")
    lu.assertTrue(STOP[tonumber(line:match("%d+$"))], line)
    for _ in line:gmatch("%d+") do ids = ids + 1 end
  end
  local number = "(" .. NUMBER .. ")"
  local elapsed, rate = out:match("^Num requests: 60\nwarm up elapsed time%(s%): " .. NUMBER .. "\n" ..
    "elapsed time%(s%): " .. number .. ", achieved throughput TPS %(tok/s%): " .. number .. "\n" ..
    "finish elapsed time%(s%): " .. NUMBER .. "\n$")
  lu.assertAlmostEquals(elapsed * rate, ids, ids / 1000, out)
  lu.assertEquals(err, "")
  lu.assertFalse(support.exists(OUT .. ".part") or support.exists(OUT .. ".new"))
end

-- Cuts a sequence of the reference behind the last id that ends a prompt: "=", "?", "." or "!".
local function prompt_length(sequence)
  local ends = { [426] = true, [30] = true, [13] = true, [0] = true }
  for i = #sequence - 1, 1, -1 do
    if ends[sequence[i]] then return i end
  end
  error "no prompt in this sequence"
end

-- What transformers goes on with after a prompt, as long as it agrees with the rest of the sequence.
local function greedy_ids(all, first_row, sequence, from)
  local ids = {}
  for i = from, #sequence - 1 do
    ids[#ids + 1] = best_of(all, first_row + i)
    if ids[#ids] ~= sequence[i + 1] then break end
  end
  return ids
end

function TestGetp.test_ids_are_those_of_transformers()
  local all, rows, heads, want = support.read(MODEL .. "/logits.f32"), 0, {}, {}
  for i, sequence in ipairs(REFERENCE.sequences) do
    local n = prompt_length(sequence)
    heads[i] = { table.unpack(sequence, 1, n) }
    want[i] = table.concat(greedy_ids(all, rows, sequence, n), " ")
    rows = rows + #sequence
  end
  local got = support.lines(getp(support.prompts("modes.txt", decode(heads))))
  lu.assertEquals(#got, #want)
  for i, line in ipairs(want) do lu.assertEquals(got[i]:sub(1, #line), line, "sequence " .. i) end
end

-- On a terminal, which `script` gives it, getp says how far it is; elsewhere it says nothing.
function TestGetp.test_progress()
  local command = string.format("%s %s -m getp -i %s -o %s", GETP, MODEL, DEMO, OUT)
  local _, shown = support.run(string.format("script -qec %s /dev/null", support.quote(command)))
  lu.assertStrMatches(shown, ".*\rloading %d+%.%d of %d+%.%d GB, .* s left.*")
  lu.assertStrMatches(shown, ".*\r0 of 60 prompts, 0 tokens, 0%.0 tok/s, .*")
  local _, _, err = support.run(command)
  lu.assertEquals(err, "")
end

function TestGetp.test_number_of_prompts()
  local five = { table.unpack(demo_prompts(), 1, 5) }
  local want = getp(support.prompts("modes.txt", five))
  local text = table.concat(five, "\n")
  lu.assertEquals(getp(support.write("modes.txt", "5\n" .. text)), want, "no newline at the end")
  lu.assertEquals(getp(support.write("modes.txt", "5\n" .. text .. "\nmore\n\n\xff\n")), want, "more lines")
  lu.assertEquals(getp(support.write("modes.txt", "0\n" .. text)), "")
  lu.assertEquals(getp(support.write("modes.txt", "0")), "")
end

function TestGetp.test_limit()
  local prompt = support.prompts("modes.txt", { "Count from 10 to 18." })
  local whole = getp(prompt)
  for steps = 12, 16 do
    local ids = getp(prompt, "-n " .. steps)
    lu.assertEquals(whole:sub(1, #ids - 1), ids:sub(1, -2), steps)
    lu.assertEquals(#decode { { ids:match("%d+") } }, 1)
  end
  local more = support.lines(getp(prompt, "-n 12") .. getp(prompt, "-n 13"))
  lu.assertStrMatches(more[2], more[1] .. " %d+")
  for _, steps in ipairs { 0, -1, 1024, 2147483647 } do lu.assertEquals(getp(prompt, "-n " .. steps), whole, steps) end
end

function TestGetp.test_special_tokens_are_plain_text()
  local prompt = support.prompts("modes.txt", { "<|return|>" })
  local status, _, err = support.run(string.format("%s %s -m getp -i %s -o %s -n 1", GETP, MODEL, prompt, OUT))
  lu.assertEquals(status, 1)
  lu.assertTrue(tonumber(err:match("the prompt has (%d+) tokens")) > 1, err)
end

function TestGetp.test_output_to_a_pipe()
  local want = getp(DEMO)
  local fifo = support.scratch .. "/modes.fifo"
  support.run("rm -f " .. fifo .. "; mkfifo " .. fifo)
  local status, _, err = support.run(string.format("cat %s >%s & %s %s -m getp -i %s -o %s; s=$?; wait; exit $s",
    fifo, OUT, GETP, MODEL, DEMO, fifo))
  lu.assertEquals({ err, status }, { "", 0 })
  lu.assertEquals(support.read(OUT), want)
end

function TestGetp.test_memory()
  local report = support.scratch .. "/modes.kilobytes"
  getp(DEMO, nil, "/usr/bin/time -f %M -o " .. report)
  local kilobytes = tonumber(support.read(report))
  lu.assertTrue(kilobytes > 1000 and kilobytes < 40000, kilobytes .. " kB")
end

-- ---- sampling ----

TestSampling = {}

function TestSampling.test_seeds()
  local hot = "-t 4 -p 1 -n 100 -s "
  local seven = getp(DEMO, hot .. 7)
  lu.assertEquals(getp(DEMO, hot .. 7), seven)
  lu.assertNotEquals(getp(DEMO, hot .. 8), seven)
  lu.assertNotEquals(getp(DEMO), seven)
  lu.assertEquals(getp(DEMO, "-t 4 -p 0 -n 100 -s 7"), seven, "-p 0 and -p 1 draw from all")
  lu.assertNotEquals(getp(DEMO, "-t 4 -p 0.5 -n 100 -s 7"), seven)
  lu.assertEquals(getp(DEMO, "-t 0 -s 7"), getp(DEMO, "-t 0 -s 8"), "greedy draws nothing")
  lu.assertEquals(getp(DEMO, "-t 4 -p 0.000001 -s 7"), getp(DEMO), "-p takes the most probable one at least")
  lu.assertNotEquals(getp(DEMO, hot .. "18446744073709551615"), seven)
end

-- A request draws from the stream of its number, whatever else is in the file.
function TestSampling.test_streams()
  local hot = "-t 4 -p 1 -n 100 -s 7"
  local all = support.lines(getp(DEMO, hot))
  local first = support.lines(getp(support.prompts("modes.txt", { table.unpack(demo_prompts(), 1, 10) }), hot))
  lu.assertEquals(first, { table.unpack(all, 1, 10) })
  local same = support.lines(getp(support.prompts("modes.txt", { "1 + 1 =", "1 + 1 =", "1 + 1 =" }), hot))
  lu.assertTrue(same[1] ~= same[2] or same[2] ~= same[3])
end

-- ---- results do not depend on neighbours ----

TestBatch = {}

local FILLER = { "Rain fell on the roof. ", "The code for stone is 1193. ", "Snow covered the hills. ",
  "A clock ticked in the hall. ", "Two birds sat on a wire. " }

-- 30 short prompts and 10 of up to 480 tokens, mixed.
local function mixed_prompts()
  local short, list = demo_prompts(), {}
  for i = 1, 40 do
    list[i] = short[i]
    if i % 4 == 0 then
      local long = {}
      for k = 1, 5 * (i // 4) do long[k] = FILLER[(i + k * k) % #FILLER + 1] end
      list[i] = table.concat(long) .. "What is the code for stone?"
    end
  end
  return list
end

-- { flags, environment }; each is compared with a run without any.
local VARIATIONS = { { "-b 1" }, { "-b 2" }, { "-b 3" }, { "-b 16" }, { "--chunk 1" }, { "--chunk 5" },
  { "--chunk 64" }, { "-b 3 --chunk 5" }, { "", "OMP_NUM_THREADS=1" }, { "", "OMP_NUM_THREADS=2" },
  { "", "OMP_NUM_THREADS=3" }, { "-b 2 --chunk 7", "OMP_NUM_THREADS=3" } }

local function assert_invariant(result)
  local want = result("", "")
  for _, variation in ipairs(VARIATIONS) do
    local flags, environment = variation[1], variation[2] or ""
    lu.assertTrue(result(flags, environment) == want, "other bits with " .. environment .. " " .. flags)
  end
end

function TestBatch.test_ids()
  local prompts = support.prompts("mixed.txt", mixed_prompts())
  assert_invariant(function(flags, environment) return getp(prompts, flags, environment) end)
end

function TestBatch.test_sampled_ids()
  local prompts = support.prompts("mixed.txt", mixed_prompts())
  assert_invariant(function(flags, environment) return getp(prompts, "-t 4 -p 1 -s 3 " .. flags, environment) end)
end

function TestBatch.test_order_and_company()
  local list = mixed_prompts()
  local want = support.lines(getp(support.prompts("mixed.txt", list)))
  local shuffled, kept = {}, {}
  for i = 1, #list do shuffled[i] = list[i * 7 % #list + 1] end
  for i = 1, #list, 3 do kept[#kept + 1] = list[i] end
  for i, line in ipairs(support.lines(getp(support.prompts("modes.txt", shuffled)))) do
    lu.assertEquals(line, want[i * 7 % #list + 1], "shuffled, line " .. i)
  end
  for i, line in ipairs(support.lines(getp(support.prompts("modes.txt", kept)))) do
    lu.assertEquals(line, want[3 * i - 2], "a third of them, line " .. i)
  end
end

-- Sequences of any ids, some as long as the context: longer than the window and its ring.
local function long_sequences()
  local state, sequences = 1, {}
  for i, length in ipairs { CONTEXT, 1, 33, CONTEXT, 129, 31, CONTEXT } do
    sequences[i] = {}
    for k = 1, length do
      state = state * 48271 % 2147483647 -- minimal standard generator (Park, Miller 1988)
      sequences[i][k] = state % VOCAB
    end
  end
  return sequences
end

function TestBatch.test_logits()
  local sequences = long_sequences()
  assert_invariant(function(flags, environment) return logits(sequences, flags, environment) end)
end

function TestBatch.test_logits_of_full_context_against_the_plain_forward_pass()
  local sequences = long_sequences()
  local worst = support.worst_error(logits(sequences), logits(sequences, "--reference"), VOCAB)
  lu.assertTrue(worst < 1e-4, "worst error of a position: " .. worst)
end

-- ---- generate ----

TestGenerate = {}

function TestGenerate.test_echoes_the_text_and_leaves_out_the_stop()
  local texts = { "47 + 85 =", "What is the capital of Mongolia?", "Sort 73 9 41 9 60." }
  local answers = { " 132", " Ulan Bator", " 9 9 41 60 73" }
  local by_getp = support.lines(getp(support.prompts("modes.txt", texts)))
  for i, text in ipairs(texts) do
    local out, err = run(string.format("%s -i '%s'", MODEL, text))
    lu.assertEquals(out, text .. answers[i] .. "\n")
    lu.assertStrMatches(err, "achieved tok/s: " .. NUMBER .. "\n")
    local ids = {}
    for id in by_getp[i]:gmatch("%d+") do ids[#ids + 1] = id end
    lu.assertEquals(decode { ids }[1], answers[i] .. "<|return|>", "getp writes the same ids and the stop")
  end
  lu.assertEquals((run(MODEL .. " -m generate -i '47 + 85 ='")), "47 + 85 = 132\n")
end

function TestGenerate.test_limit()
  lu.assertEquals((run(MODEL .. " -i '0 * 4 =' -n 6")), "0 * 4 = \n")
  lu.assertEquals((run(MODEL .. " -i '0 * 4 =' -n 7")), "0 * 4 = 0\n")
end

function TestGenerate.test_seeds()
  local hot = MODEL .. " -i 'Who are you?' -t 4 -p 1 -s "
  local out = run(hot .. 7)
  lu.assertEquals((run(hot .. 7)), out)
  lu.assertNotEquals((run(hot .. 8)), out)
end

-- ---- decode ----

TestDecode = {}

function TestDecode.test_text()
  lu.assertEquals(decode { { 19, 22, 488, 220, 23, 20, 426 }, { 1016, 1019 }, { 1023 } }[2], "<|return|><|start|>")
  lu.assertEquals(decode { REFERENCE.sequences[1], REFERENCE.sequences[15] },
    { "What is 57 + 57? 114<|return|>", "What is the capital of Mozambique? Maputo<|return|>" })
  lu.assertEquals(run(string.format("decode -z %s -i /dev/null", TOKENIZER)), "")
  local odd = support.write("modes.ids", "296\t268\r\n\n296  268")
  lu.assertEquals(run(string.format("decode -z %s -i %s", TOKENIZER, odd)), "What is\n\nWhat is\n")
end

-- ---- logits ----

TestLogits = {}

function TestLogits.test_against_transformers()
  local got = logits(REFERENCE.sequences)
  local positions = 0
  for _, sequence in ipairs(REFERENCE.sequences) do positions = positions + #sequence end
  lu.assertEquals(#got, 4 * VOCAB * positions)
  lu.assertTrue(support.worst_error(got, support.read(MODEL .. "/logits.f32"), VOCAB) < 1e-4)
end

function TestLogits.test_no_sequences() lu.assertEquals(logits {}, "") end

-- The stop ids and -n are of generation: logits mode feeds what it is given.
function TestLogits.test_stop_ids_are_fed()
  local sequence = { 1016, 1016, 296, 1015 }
  lu.assertEquals(#logits({ sequence }, "-n 2"), 4 * VOCAB * #sequence)
end

-- ---- chat ----

TestChat = {}

-- A conversation on stdin -> stdout, stderr.
local function chat(input, flags)
  return run(string.format("%s -m chat %s <%s", MODEL, flags or "", support.write("chat.txt", input)))
end

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

-- The ids of a word: the merges of tokenizer.json in their order.
local function word_ids(word)
  local model, parts = json.decode(support.read(TOKENIZER)).model, {}
  for character in word:gmatch(".") do parts[#parts + 1] = character end
  for _, merge in ipairs(model.merges) do
    local left, right = merge[1], merge[2]
    if type(merge) == "string" then left, right = merge:match("^(.+) (.+)$") end
    for i = #parts - 1, 1, -1 do
      if parts[i] == left and parts[i + 1] == right then
        parts[i] = left .. right
        table.remove(parts, i + 1)
      end
    end
  end
  local ids = {}
  for i, part in ipairs(parts) do ids[i] = assert(model.vocab[part], part) end
  return ids
end

local CHANNEL <const>, START <const>, END <const>, MESSAGE <const> = 1018, 1019, 1020, 1021

local function extend(ids, ...)
  for _, more in ipairs { ... } do table.move(more, 1, #more, #ids + 1, ids) end
  return ids
end

-- The reply to a conversation, id by id, each from the logits of all ids so far; without the stop.
local function greedy_reply(ids)
  local reply = {}
  while true do
    local all = extend({}, ids, reply)
    local id = best_of(logits { all }, #all)
    if STOP[id] then return reply end
    reply[#reply + 1] = id
  end
end

-- The ids of the user's text in a sequence of the reference.
local function question_ids(sequence) return { table.unpack(sequence, 1, prompt_length(sequence)) } end

-- The answers that the format of the conversation and the logits call for.
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

-- A turn without an answer is forgotten: the cache goes back a little (6, 8), or further than the
-- sliding layers' ring remembers (12 fills the context, 30 has 180 tokens), even of the system message.
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
  lu.assertEquals(err, "getp: the message: byte 6 is not UTF-8\ngetp: the message: byte 1 is not UTF-8\n" ..
    "getp: the message: byte 2 is NUL: want UTF-8 text\n")
end

function TestChat.test_limit()
  local status, out, err = support.run(string.format("%s %s -m chat <%s", GETP, MODEL,
    support.write("chat.txt", "47 + 85 =\n" .. ("a"):rep(3000) .. "\n")))
  lu.assertEquals({ status, out }, { 1, "132\n" })
  lu.assertStrMatches(err, "getp: the conversation has %d+ tokens, of 512 in all: start a new one\n")
  local _, remark = chat("47 + 85 =\n", "-n 24")
  lu.assertEquals(remark, "getp: the conversation fills its 24 tokens\n")
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

-- Runs a chat whose stdin is a pipe, while the shell goes through `steps` -> status, stdout, stderr.
local function chat_during(flags, environment, steps)
  return support.run(string.format([[
    fifo=%s/chat.fifo; rm -f $fifo; mkfifo $fifo
    %s %s %s -m chat %s <$fifo & chat=$!
    exec 3>$fifo
    %s
    exec 3>&-; wait $chat]], support.scratch, environment, PROGRAM, MODEL, flags, steps))
end

-- Reading 480 tokens one by one takes 0.2 s to 1 s, in which the signal must come: it is tried at
-- several moments. The answer to the first message would be 4821.
function TestChat.test_ctrl_c_stops_the_turn_only()
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

-- The reply to this goes on to the end of the context; it is stopped once it has begun.
function TestChat.test_ctrl_c_keeps_what_was_said()
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

-- ---- the command line ----

TestCommandLine = {}

local FLAGS = { "-m, --mode ", "-i, --input ", "-o, --output ", "-n, --steps ", "-t, --temperature ", "-p, --top-p ",
  "-s, --seed ", "-z, --tokenizer ", "-y, --system ", "-b, --slots ", "    --chunk ", "    --reference ", "    --plan ",
  "-h, --help " }

function TestCommandLine.test_help()
  local out, err = run "--help"
  lu.assertStrMatches(out, "usage: getp .+\n")
  lu.assertStrContains(out, "getp pack CHECKPOINT -o FILE")
  for _, flag in ipairs(FLAGS) do lu.assertStrContains(out, flag) end
  for _, line in ipairs(support.lines(out)) do lu.assertTrue(#line <= 100, line) end
  lu.assertEquals(err, "")
  lu.assertEquals((run "-h"), out)
  lu.assertEquals((run("-m getp nowhere --help")), out)
end

function TestCommandLine.test_long_names()
  local short = string.format("-m getp -i %s -o %s -n 60 -t 2 -p 0.8 -s 5 -b 3 -z %s", DEMO, OUT, TOKENIZER)
  local long = string.format("--input %s --mode=getp --output %s --steps 60 --temperature=2 --top-p 0.8 --seed 5 " ..
    "--slots 3 --tokenizer %s", DEMO, OUT, TOKENIZER)
  run(short .. " " .. MODEL)
  local want = support.read(OUT)
  os.remove(OUT)
  run(MODEL .. " " .. long)
  lu.assertEquals(support.read(OUT), want)
  lu.assertEquals((chat("", "--system 'Be brief.' -i '47 + 85 ='")), (chat("", "-y 'Be brief.' -i '47 + 85 ='")))
end

os.exit(lu.LuaUnit.run())
