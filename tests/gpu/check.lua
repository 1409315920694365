-- The tests of one tree that tests/gpu/run.lua has built: `lua5.4 tests/gpu/check.lua MACHINE PRECISION MODEL`.
-- Prints TAP.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local made_up = require "tests.gpu.prompts"
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local BOUND <const> = { fp32 = 1e-4, mixed = 1.5e-2 } -- relative L2 error of all logits of a model, and of a position's
-- Choices of experts that nearly tie may be swapped in the oracle to agree with the device: at most so many per choice
-- of a model, but two are always allowed. Over all models the bound is half of that (run.lua).
local MOST_SWAPPED <const> = 0.01
local CHUNKS <const> = {
  fp32 = { "-b 1 --chunk 5" }, mixed = { "-b 1 --chunk 17", "-b 3 --chunk 40", "-b 1 --chunk 100" },
}
local PROMPTS <const> = { fp32 = 0, mixed = 240 } -- of tests/gpu/prompts.lua, beside those of tests/demo
-- Tokens of a sequence for same_bits. Where attention divides the keys into parts, a sequence has the first part and
-- AFTER_PART tokens: the last rows of the longest sequence then lie on both sides of the end of that part.
local HEAD <const>, AFTER_PART <const> = 64, 20
local AGREE <const> = 0.97 -- this fraction of the answers must be the reference's, id by id

local machine = trees.machine(arg[1])
local tree = trees.describe(machine, arg[3], arg[2])
local most_positions = tonumber(os.getenv("GPU_POSITIONS") or math.maxinteger)
local most_prompts = tonumber(os.getenv("GPU_PROMPTS") or math.maxinteger)
local failed = false

support.scratch = support.scratch .. "/" .. arg[1] .. "-" .. tree.name

local function report(good, what, ...)
  failed = failed or not good
  print(string.format("%s %s: %s", good and "ok" or "not ok", tree.name, what:format(...)))
end

-- ---- logits ----

-- The sequences of the model that are short enough, in order, or the shortest if none is -> list of { ids, want = the
-- logits that transformers computed }, the size of the vocabulary.
local function selection()
  local folder = "tests/models/" .. tree.model
  local reference = assert(json.decode(support.read(folder .. "/reference.json")))
  local vocab = assert(json.decode(support.read(folder .. "/config.json"))).vocab_size
  local logits, short, shortest, first = support.read(folder .. "/logits.f32"), {}, nil, 0
  for _, ids in ipairs(reference.sequences) do
    local sequence = { ids = ids, want = logits:sub(4 * vocab * first + 1, 4 * vocab * (first + #ids)) }
    if #ids <= most_positions then short[#short + 1] = sequence end
    if not shortest or #ids < #shortest.ids then shortest = sequence end
    first = first + #ids
  end
  return #short > 0 and short or { shortest }, vocab
end

-- Runs `getp -m logits` on sequences -> the logits of each, its input file and its output file.
local function logits_of(sequences, vocab, options)
  local ids, list, at = {}, {}, 1
  for i, sequence in ipairs(sequences) do ids[i] = sequence.ids end
  local input, output = support.ids("logits.ids", ids), support.scratch .. "/logits.f32"
  trees.must(string.format("%s tests/models/%s -m logits -i %s -o %s %s", tree.getp, tree.model, input, output,
    options))
  local all = support.read(output)
  for i, sequence in ipairs(sequences) do
    list[i] = all:sub(at, at + 4 * vocab * #sequence.ids - 1)
    at = at + 4 * vocab * #sequence.ids
  end
  return list, input, output
end

-- Compares sequences beyond the bound with reference.c, in which near_ties swaps experts that nearly tie. Returns how
-- many choices were swapped.
local function check_near_ties(beyond, vocab)
  local _, input, output = logits_of(beyond, vocab, "")
  local status, out, err = support.run(string.format("%s/near_ties tests/models/%s %s %s %g", machine.folder,
    tree.model, input, output, BOUND[tree.precision]))
  for _, line in ipairs(support.lines(out)) do print("# " .. line) end
  local worst, swapped = out:match("([^\n ]+) error, (%d+) of %d+ choices\n$")
  report(status == 0, "with near ties decided as here: worst error %s%s", worst or "?", err)
  return tonumber(swapped) or math.huge
end

local function check_logits(sequences, vocab)
  local worst, beyond, positions, got = 0.0, {}, 0, logits_of(sequences, vocab, "")
  local difference, norm = 0.0, 0.0
  for i, sequence in ipairs(sequences) do
    local this, squares, wanted = support.worst_error(got[i], sequence.want, vocab)
    difference, norm = difference + squares, norm + wanted
    if this < BOUND[tree.precision] then
      worst = math.max(worst, this)
    else
      beyond[#beyond + 1] = sequence
    end
    sequence.got, positions = got[i], positions + #sequence.ids
  end
  local error_of_all = math.sqrt(difference / norm)
  report(error_of_all < BOUND[tree.precision], "relative L2 error of all logits: %.2g", error_of_all)
  report(#beyond == 0 or tree.precision == "mixed", "logits of %d of %d sequences within the bound, worst error %.2g",
    #sequences - #beyond, #sequences, worst)
  if tree.precision == "fp32" then return end
  local layers = assert(json.decode(support.read("tests/models/" .. tree.model .. "/config.json"))).num_hidden_layers
  local swapped, choices = #beyond > 0 and check_near_ties(beyond, vocab) or 0, positions * layers
  report(swapped <= math.max(2, MOST_SWAPPED * choices), "%s of %d choices of experts are near ties decided otherwise",
    swapped, choices)
end

-- For mixed the longest sequence and up to three others are enough: check_passes tries all kinds of passes.
local function some_of(sequences)
  if tree.precision == "fp32" then return sequences end
  local longest = 1
  for i, sequence in ipairs(sequences) do
    if #sequence.ids > #sequences[longest].ids then longest = i end
  end
  local list = { sequences[longest] }
  for i = 1, math.min(4, #sequences) do
    if i ~= longest and #list < 4 then list[#list + 1] = sequences[i] end
  end
  return list
end

local function check_chunks(sequences, vocab)
  local some = some_of(sequences)
  for _, options in ipairs(CHUNKS[tree.precision]) do
    local same, got = true, logits_of(some, vocab, options)
    for i, sequence in ipairs(some) do same = same and got[i] == sequence.got end
    report(same, "the same bits with %s", options)
  end
end

-- Runs same_bits on the beginnings of some sequences.
local function check_passes(sequences)
  local heads, most = {}, tree.part and tree.part + AFTER_PART or HEAD
  for _, sequence in ipairs(sequences) do
    if #sequence.ids >= 5 and #heads < 8 then
      heads[#heads + 1] = table.move(sequence.ids, 1, math.min(most, #sequence.ids), 1, {})
    end
  end
  local status, out, err = support.run(string.format("%s tests/models/%s %s %d", tree.same_bits, tree.model,
    support.ids("passes.ids", heads), math.min(most_positions, 1 << 30)))
  for _, line in ipairs(support.lines(out)) do report(line:find("^ok") ~= nil, "%s", (line:gsub("^.-ok ", ""))) end
  if status ~= 0 and not out:find("not ok", 1, true) then report(false, "%s", err) end
end

-- ---- answers of abacus ----

-- `count` entries of a list, spread evenly over it.
local function spread(list, count)
  if count >= #list then return list end
  local some = {}
  for i = 1, count do some[i] = list[(i - 1) * #list // count + 1] end
  return some
end

-- -> prompts, { prompt = answer } for those whose answer is known
local function questions()
  local prompts, answers = {}, {}
  local demo, right = support.lines(support.read("tests/demo/prompts.txt")),
    support.lines(support.read("tests/demo/answers.txt"))
  for i, answer in ipairs(right) do
    prompts[i] = demo[i + 1]
    answers[demo[i + 1]] = answer
  end
  for _, prompt in ipairs(made_up(PROMPTS[tree.precision])) do prompts[#prompts + 1] = prompt end
  return spread(prompts, most_prompts), answers
end

-- The answers of a getp as lines of ids, one per prompt.
local function answers_of(getp, prompts, options)
  local input, out = support.prompts("prompts", prompts), support.scratch .. "/answers.ids"
  trees.must(string.format("%s tests/models/abacus -m getp -i %s -o %s -n 64 %s", getp, input, out, options))
  return support.lines(support.read(out))
end

local function count_right(prompts, lines, answers)
  local ids, right = support.write("lines.ids", table.concat(lines, "\n") .. "\n"), 0
  local text = trees.must(string.format("%s decode -z tests/models/abacus/tokenizer.json -i %s", tree.getp, ids))
  for i, line in ipairs(support.lines(text)) do
    local answer = line:gsub("<|return|>$", ""):gsub("^ ", "")
    if answer == answers[prompts[i]] then right = right + 1 end
  end
  return right
end

local function check_answers()
  local prompts, answers = questions()
  local got, want = answers_of(tree.getp, prompts, ""), answers_of(trees.reference(machine, "abacus").getp, prompts, "")
  local same = 0
  for i, line in ipairs(want) do same = same + (line == got[i] and 1 or 0) end
  report(same >= AGREE * #prompts, "%d of %d answers are those of the reference, %.1f %%", same, #prompts,
    100 * same / #prompts)
  local right, reference = count_right(prompts, got, answers), count_right(prompts, want, answers)
  report(right >= reference, "%d answers of tests/demo are right, the reference has %d", right, reference)
end

-- Greedy and sampled answers do not depend on how many sequences run at a time.
local function check_answers_of_batches()
  local prompts = spread((questions()), math.min(6, most_prompts))
  for _, case in ipairs { { "", "-b 1 --chunk 3" }, { "-t 5 -s 7", "-b 4 --chunk 17" } } do
    local sampling, options = table.unpack(case)
    local whole = table.concat(answers_of(tree.getp, prompts, sampling), "\n")
    local other = table.concat(answers_of(tree.getp, prompts, sampling .. " " .. options), "\n")
    report(whole == other, "the same answers with %s %s", sampling, options)
  end
end

local sequences, vocab = selection()
check_logits(sequences, vocab)
check_chunks(sequences, vocab)
if tree.precision == "mixed" then check_passes(sequences) end
if tree.model == "abacus" then
  check_answers()
  check_answers_of_batches()
end
os.exit(not failed)
