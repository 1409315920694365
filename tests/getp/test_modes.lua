-- generate, decode, logits and the command line with good input, to the byte.
-- luacheck: globals TestGenerate TestDecode TestLogits TestCommandLine

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local MODEL, TOKENIZER, DEMO, OUT = abacus.MODEL, abacus.TOKENIZER, abacus.PROMPTS, abacus.OUT
local REFERENCE, VOCAB = abacus.REFERENCE, abacus.VOCAB
local run, answer, logits, decode = abacus.run, abacus.answer, abacus.logits, abacus.decode
local NUMBER = "%d+%.%d%d%d%d%d%d"

-- ---- generate ----

TestGenerate = {}

function TestGenerate.test_the_text_is_printed_and_the_stop_is_not()
  local texts = { "47 + 85 =", "What is the capital of Mongolia?", "Sort 73 9 41 9 60." }
  local answers = { " 132", " Ulan Bator", " 9 9 41 60 73" }
  local by_prompts = support.lines(answer(support.prompts("modes.txt", texts)))
  for i, text in ipairs(texts) do
    local out, err = run(string.format("%s -i '%s'", MODEL, text))
    lu.assertEquals(out, text .. answers[i] .. "\n")
    lu.assertStrMatches(err, "achieved tok/s: " .. NUMBER .. "\n")
    local ids = {}
    for id in by_prompts[i]:gmatch("%d+") do ids[#ids + 1] = id end
    lu.assertEquals(decode { ids }[1], answers[i] .. "<|return|>", "-m getp writes the same ids and the stop")
  end
  lu.assertEquals((run(MODEL .. " -m generate -i '47 + 85 ='")), "47 + 85 = 132\n")
end

function TestGenerate.test_max_tokens()
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

-- A tokenizer.json is named by its own path, or by that of the folder or packed file that has it.
function TestDecode.test_where_the_tokenizer_is()
  local ids, packed = support.write("modes.ids", "296 268"), support.scratch .. "/modes.packed"
  run(string.format("pack %s -o %s", MODEL, packed))
  for _, path in ipairs { TOKENIZER, MODEL, packed } do
    lu.assertEquals(run(string.format("decode %s -i %s", path, ids)), "What is\n", path)
    lu.assertEquals(run(string.format("decode -z %s -i %s", path, ids)), "What is\n", path)
    lu.assertEquals(run(string.format("decode nowhere -z %s -i %s", path, ids)), "What is\n", path)
    lu.assertStrContains(run(string.format("%s -z %s -i '47 + 85 ='", MODEL, path)), "47 + 85 = 132")
    run(string.format("pack %s -z %s -o %s.2", MODEL, path, packed))
    lu.assertTrue(support.read(packed) == support.read(packed .. ".2"), path)
  end
  os.remove(packed)
  os.remove(packed .. ".2")
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

-- Neither a stop id nor -n ends a sequence of logits mode.
function TestLogits.test_stop_ids_do_not_end_a_sequence()
  local sequence = { 1016, 1016, 296, 1015 }
  lu.assertEquals(#logits({ sequence }, "-n 2"), 4 * VOCAB * #sequence)
end

-- ---- the command line ----

TestCommandLine = {}

local FLAGS = { "-m, --mode ", "-i, --input ", "-o, --output ", "-n, --steps ", "-t, --temperature ", "-p, --top-p ",
  "-s, --seed ", "-z, --tokenizer ", "-y, --system ", "-f, --file ", "    --effort ", "    --date ", "    --tools ",
  "    --reasoning ", "    --special ", "-b, --slots ", "    --chunk ", "    --reference ", "    --plan ",
  "-h, --help " }

function TestCommandLine.test_help()
  local out, err = run "--help"
  lu.assertStrMatches(out, "usage: getp .+\n")
  lu.assertStrContains(out, "getp pack CHECKPOINT -o FILE")
  lu.assertStrContains(out, "several lines")
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
  local brief = abacus.chat("", "-y 'Be brief.' -i '47 + 85 ='")
  lu.assertEquals((abacus.chat("", "--system 'Be brief.' -i '47 + 85 ='")), brief)
end

os.exit(lu.LuaUnit.run())
