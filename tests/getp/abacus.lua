-- The getp of abacus-cpu and its model: what the tests of its modes share.

local json = require "dkjson"
local lu = require "luaunit"
local support = require "tests.support"

local MODEL <const> = "tests/models/abacus"
local PROGRAM = support.getp "abacus-cpu"

local abacus = {
  MODEL = MODEL,
  TOKENIZER = MODEL .. "/tokenizer.json",
  PROMPTS = "tests/demo/prompts.txt",
  OUT = support.scratch .. "/abacus.out", -- the output file of all runs
  PROGRAM = PROGRAM,
  GETP = "timeout 60 " .. PROGRAM,
  VOCAB = 1024, CONTEXT = 512,
  STOP = { [1015] = true, [1016] = true, [1022] = true },
  REFERENCE = json.decode(support.read(MODEL .. "/reference.json")),
}

-- Runs getp, which must succeed -> stdout, stderr.
function abacus.run(arguments, environment)
  local status, out, err = support.run(string.format("%s %s %s", environment or "", abacus.GETP, arguments))
  lu.assertEquals(status, 0, arguments .. ": " .. err)
  return out, err
end

-- Runs `-m getp` on a file of prompts -> its output file.
function abacus.answer(prompts, flags, environment)
  os.remove(abacus.OUT .. ".part") -- a test that failed may have left it
  abacus.run(string.format("%s -m getp -i %s -o %s %s", MODEL, prompts, abacus.OUT, flags or ""), environment)
  return support.read(abacus.OUT)
end

-- Runs `-m logits` on sequences of ids -> its output file.
function abacus.logits(sequences, flags, environment)
  local ids = support.ids("abacus.ids", sequences)
  abacus.run(string.format("%s -m logits -i %s -o %s %s", MODEL, ids, abacus.OUT, flags or ""), environment)
  return support.read(abacus.OUT)
end

-- Runs `-m chat` with a text on stdin -> stdout, stderr.
function abacus.chat(input, flags)
  return abacus.run(string.format("%s -m chat %s <%s", MODEL, flags or "", support.write("chat.txt", input)))
end

-- The texts of sequences of ids.
function abacus.decode(sequences)
  local ids = support.ids("abacus.ids", sequences)
  return support.lines((abacus.run(string.format("decode -z %s -i %s", abacus.TOKENIZER, ids))))
end

-- The most probable id at position `position`, counted from 1, of a file of logits.
function abacus.best_id(logits, position)
  local best, highest
  for id = 0, abacus.VOCAB - 1 do
    local value = string.unpack("<f", logits, 4 * ((position - 1) * abacus.VOCAB + id) + 1)
    if not highest or value > highest then best, highest = id, value end
  end
  return best
end

-- The prompts of the demo as a list.
function abacus.demo_prompts()
  local lines = support.lines(support.read(abacus.PROMPTS))
  return { table.unpack(lines, 2) }
end

-- The number of ids up to the last one that ends a prompt: "=", "?", "." or "!".
function abacus.prompt_length(sequence)
  local ends = { [426] = true, [30] = true, [13] = true, [0] = true }
  for i = #sequence - 1, 1, -1 do
    if ends[sequence[i]] then return i end
  end
  error "no prompt in this sequence"
end

return abacus
