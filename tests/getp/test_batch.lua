-- A result depends neither on the other requests nor on slots, chunks and threads.
-- luacheck: globals TestBatch

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local CONTEXT, VOCAB = abacus.CONTEXT, abacus.VOCAB
local answer, logits, demo_prompts = abacus.answer, abacus.logits, abacus.demo_prompts

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

-- { flags, environment }: the result of each is compared with that of a run without flags.
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
  assert_invariant(function(flags, environment) return answer(prompts, flags, environment) end)
end

function TestBatch.test_sampled_ids()
  local prompts = support.prompts("mixed.txt", mixed_prompts())
  assert_invariant(function(flags, environment) return answer(prompts, "-t 4 -p 1 -s 3 " .. flags, environment) end)
end

function TestBatch.test_order_and_neighbours()
  local list = mixed_prompts()
  local want = support.lines(answer(support.prompts("mixed.txt", list)))
  local shuffled, kept = {}, {}
  for i = 1, #list do shuffled[i] = list[i * 7 % #list + 1] end
  for i = 1, #list, 3 do kept[#kept + 1] = list[i] end
  for i, line in ipairs(support.lines(answer(support.prompts("batch.txt", shuffled)))) do
    lu.assertEquals(line, want[i * 7 % #list + 1], "shuffled, line " .. i)
  end
  for i, line in ipairs(support.lines(answer(support.prompts("batch.txt", kept)))) do
    lu.assertEquals(line, want[3 * i - 2], "every third prompt, line " .. i)
  end
end

-- Sequences of random ids. Some are as long as the context, and so longer than the window and its ring.
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

os.exit(lu.LuaUnit.run())
