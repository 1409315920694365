-- `-m getp` on good files of prompts: ids, report and files to the byte, and random draws that depend only on the seed
-- and the request.
-- luacheck: globals TestPrompts TestSpecial TestSampling

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local MODEL, DEMO, OUT, GETP = abacus.MODEL, abacus.PROMPTS, abacus.OUT, abacus.GETP
local REFERENCE, STOP = abacus.REFERENCE, abacus.STOP
local answer, decode, demo_prompts = abacus.answer, abacus.decode, abacus.demo_prompts
local NUMBER = "%d+%.%d%d%d%d%d%d"

-- ---- files of prompts ----

TestPrompts = {}

function TestPrompts.test_output_and_report()
  support.write("abacus.out", "the output of an earlier run\n")
  local out, err = abacus.run(string.format("%s -m getp -i %s -o %s", MODEL, DEMO, OUT))
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
  lu.assertFalse(support.exists(OUT .. ".part"))
end

-- The ids that transformers picks after a prompt, as long as they agree with the rest of the sequence.
local function greedy_ids(all, first_position, sequence, from)
  local ids = {}
  for i = from, #sequence - 1 do
    ids[#ids + 1] = abacus.best_id(all, first_position + i)
    if ids[#ids] ~= sequence[i + 1] then break end
  end
  return ids
end

function TestPrompts.test_ids_are_those_of_transformers()
  local all, positions, heads, want = support.read(MODEL .. "/logits.f32"), 0, {}, {}
  for i, sequence in ipairs(REFERENCE.sequences) do
    local n = abacus.prompt_length(sequence)
    heads[i] = { table.unpack(sequence, 1, n) }
    want[i] = table.concat(greedy_ids(all, positions, sequence, n), " ")
    positions = positions + #sequence
  end
  local got = support.lines(answer(support.prompts("prompts.txt", decode(heads))))
  lu.assertEquals(#got, #want)
  for i, line in ipairs(want) do lu.assertEquals(got[i]:sub(1, #line), line, "sequence " .. i) end
end

-- On a terminal, which `script` provides, getp says how far it is; elsewhere it prints nothing.
function TestPrompts.test_progress()
  local command = string.format("%s %s -m getp -i %s -o %s", GETP, MODEL, DEMO, OUT)
  local _, shown = support.run(string.format("script -qec %s /dev/null", support.quote(command)))
  lu.assertStrMatches(shown, ".*\rloading %d+%.%d of %d+%.%d GB, .* s left.*")
  lu.assertStrMatches(shown, ".*\r0 of 60 prompts, 0 tokens, 0%.0 tok/s, .*")
  local _, _, err = support.run(command)
  lu.assertEquals(err, "")
end

function TestPrompts.test_number_of_prompts()
  local five = { table.unpack(demo_prompts(), 1, 5) }
  local want = answer(support.prompts("prompts.txt", five))
  local text = table.concat(five, "\n")
  lu.assertEquals(answer(support.write("prompts.txt", "5\n" .. text)), want, "no newline at the end")
  lu.assertEquals(answer(support.write("prompts.txt", "5\n" .. text .. "\n\n\n")), want, "empty lines at the end")
  for _, none in ipairs { "0", "0\n", "0\n\n", "0\r\n" } do
    lu.assertEquals(answer(support.write("prompts.txt", none)), "")
  end
end

-- A file that was saved on Windows: a byte order mark, CR LF, a CR at the very end.
function TestPrompts.test_line_ends()
  local five = { table.unpack(demo_prompts(), 1, 5) }
  local want = answer(support.prompts("prompts.txt", five))
  local text = "5\n" .. table.concat(five, "\n") .. "\n"
  for _, other in ipairs { (text:gsub("\n", "\r\n")), (text:gsub("\n", "\r\n"):sub(1, -2)),
    "\xEF\xBB\xBF" .. text,
    "\xEF\xBB\xBF" .. text:gsub("\n", "\r\n"), (text:gsub("\n", "\r\n", 3)) } do
    lu.assertEquals(answer(support.write("prompts.txt", other)), want, other)
  end
end

-- Files of ids, and the text of -f.
function TestPrompts.test_line_ends_of_other_files()
  local ids = "296 268 220\n7\n"
  local function logits(text)
    abacus.run(string.format("%s -m logits -i %s -o %s", MODEL, support.write("prompts.ids", text), OUT))
    return support.read(OUT)
  end
  local want = logits(ids)
  for _, other in ipairs { (ids:gsub("\n", "\r\n")), "\xEF\xBB\xBF" .. ids,
    (ids:gsub("\n", "\r\n"):sub(1, -2)) } do
    lu.assertTrue(logits(other) == want)
    local text = abacus.run(string.format("decode -z %s -i %s/prompts.ids", abacus.TOKENIZER, support.scratch))
    lu.assertEquals(text, table.concat(abacus.decode { { 296, 268, 220 }, { 7 } }, "\n") .. "\n")
  end
  local text = "one\ntwo\n47 + 85 =\n"
  local function continue(bytes)
    return (abacus.run(string.format("%s -f %s", MODEL, support.write("prompts.text", bytes))))
  end
  lu.assertEquals(continue("\xEF\xBB\xBF" .. text:gsub("\n", "\r\n")), continue(text))
end

function TestPrompts.test_max_tokens()
  local prompt = support.prompts("prompts.txt", { "Count from 10 to 18." })
  local whole = answer(prompt)
  for max_tokens = 12, 16 do
    local ids = answer(prompt, "-n " .. max_tokens)
    lu.assertEquals(whole:sub(1, #ids - 1), ids:sub(1, -2), max_tokens)
    lu.assertEquals(#decode { { ids:match("%d+") } }, 1)
  end
  local more = support.lines(answer(prompt, "-n 12") .. answer(prompt, "-n 13"))
  lu.assertStrMatches(more[2], more[1] .. " %d+")
  for _, all in ipairs { 0, -1, abacus.CONTEXT } do lu.assertEquals(answer(prompt, "-n " .. all), whole, all) end
end

function TestPrompts.test_output_to_a_pipe()
  local want = answer(DEMO)
  local fifo = support.scratch .. "/prompts.fifo"
  support.run("rm -f " .. fifo .. "; mkfifo " .. fifo)
  local status, _, err = support.run(string.format("cat %s >%s & %s %s -m getp -i %s -o %s; s=$?; wait; exit $s",
    fifo, OUT, GETP, MODEL, DEMO, fifo))
  lu.assertEquals({ err, status }, { "", 0 })
  lu.assertEquals(support.read(OUT), want)
end

function TestPrompts.test_memory()
  local report = support.scratch .. "/prompts.kilobytes"
  answer(DEMO, nil, "/usr/bin/time -f %M -o " .. report)
  local kilobytes = tonumber(support.read(report))
  lu.assertTrue(kilobytes > 1000 and kilobytes < 40000, kilobytes .. " kB")
end

-- Memory holds the requests that run: with 2400 prompts more, there are at most 500 bytes more for each of them. Its
-- prompt alone has 26; the output that it might have had would have 2000.
function TestPrompts.test_memory_of_many_prompts()
  local report, peak = support.scratch .. "/prompts.kilobytes", {}
  for i, n in ipairs { 100, 2500 } do
    local many = {}
    for number = 1, n do many[number] = string.format("The code for river is %d.", number) end
    answer(support.prompts("many.txt", many), "", "OMP_NUM_THREADS=1 /usr/bin/time -f %M -o " .. report)
    peak[i] = tonumber(support.read(report))
  end
  lu.assertTrue((peak[2] - peak[1]) * 1024 < 2400 * 500, peak[1] .. " kB, " .. peak[2] .. " kB")
end

-- ---- special tokens ----

TestSpecial = {}

local CHAT <const> = "<|start|>user<|message|>What is 27 + 4?<|end|><|start|>assistant"
local AS_TOKENS <const> = ": a rendered conversation: its special tokens are read as tokens\n"
local AS_TEXT <const> = ": the special token %s is read as text: --special reads it as a token\n"

-- Runs `-m getp` with max_tokens 1, so that no prompt has room -> how many tokens each has, other lines on stderr.
local function lengths(prompts, flags)
  local path, list = support.prompts("prompts.txt", prompts), {}
  local status, _, err = support.run(string.format("%s %s -m getp -i %s -o %s -n 1 %s", GETP, MODEL, path, OUT,
    flags or ""))
  lu.assertEquals(status, 1, err)
  local rest = err:gsub("getp: " .. path .. ":(%d+): want fewer than 1 tokens, but the prompt has (%d+) tokens: its "
    .. "line is empty\n", function(line, n)
    lu.assertEquals(tonumber(line), #list + 2)
    list[#list + 1] = tonumber(n)
    return ""
  end)
  return list, rest, path
end

function TestSpecial.test_without_the_flag()
  local prompts = { "Hello.", "Is <|end|> a token?", "<|endoftext|>", CHAT, CHAT, CHAT .. "<|end|>" }
  local spelled, rest, path = lengths(prompts)
  lu.assertEquals(spelled[4], 18)
  lu.assertEquals(spelled[5], 18)
  lu.assertTrue(spelled[3] > 5 and spelled[6] > 40)
  lu.assertEquals(rest, "getp: " .. path .. ":3" .. AS_TEXT:format("<|end|>") .. "getp: " .. path .. ":5" .. AS_TOKENS)
end

function TestSpecial.test_with_the_flag()
  local prompts = { "Hello.", "Is <|end|> a token?", "<|endoftext|>", CHAT, CHAT .. "<|end|>", "<|end|><|end|>x" }
  local read, rest = lengths(prompts, "--special")
  local parts = lengths { "Hello.", "Is ", " a token?" }
  lu.assertEquals(read, { parts[1], parts[2] + 1 + parts[3], 1, 18, 19, 3 })
  lu.assertEquals(rest, "")
end

function TestSpecial.test_nothing_is_said_of_other_text()
  local _, rest = lengths { "a < b", "<|nothing|>", "<|start", "start|>", "< |end|>", "Hello" }
  lu.assertEquals(rest, "")
end

-- A conversation is recognised by its first token and by a last message of the assistant that has no end.
function TestSpecial.test_what_is_a_rendered_conversation()
  local yes = { CHAT, "<|start|>assistant", CHAT .. " to=functions.f<|channel|>commentary", CHAT .. "<|channel|>final",
    CHAT .. "<|channel|>final<|message|>It is", CHAT .. "<|message|>Hm.<|end|><|start|>assistant" }
  local no = { " " .. CHAT, "Say " .. CHAT, CHAT .. "<|message|>31<|end|>", CHAT .. "<|return|>", CHAT .. "<|call|>",
    CHAT .. "s", CHAT .. "<|start|>", CHAT .. "<|start|>user", "<|start|>user<|message|>Hello", "<|start|>",
    "<|start|>assistan", "<|end|><|start|>assistant", "<|start|><|message|>assistant" }
  for _, prompt in ipairs(yes) do
    local read, rest, path = lengths { prompt }
    lu.assertEquals(rest, "getp: " .. path .. ":2" .. AS_TOKENS, prompt)
    lu.assertEquals(read, (lengths({ prompt }, "--special")), prompt)
  end
  for _, prompt in ipairs(no) do
    local read, rest, path = lengths { prompt }
    lu.assertEquals(rest, "getp: " .. path .. ":2" .. AS_TEXT:format(prompt:match("<|%l+|>")), prompt)
    lu.assertTrue(read[1] > lengths({ prompt }, "--special")[1], prompt)
  end
end

-- The prompt has the ids that abacus was trained on, so it answers in the format.
function TestSpecial.test_a_rendered_conversation_is_answered()
  local prompt = support.prompts("prompts.txt", { CHAT })
  local ids = answer(prompt)
  lu.assertEquals(answer(prompt, "--special"), ids)
  lu.assertEquals(decode { { ids:match "^(.*)\n$" } }, { "<|channel|>final<|message|>31<|return|>" })
end

-- The comparison with reference.c encodes the first prompt, too, and says nothing twice.
function TestSpecial.test_parity()
  local prompt = support.prompts("prompts.txt", { CHAT })
  local _, err = abacus.run(string.format("%s -m getp -i %s -o %s", MODEL, prompt, OUT), "GETP_PARITY=100")
  lu.assertStrMatches(err, "getp: " .. prompt .. ":2" .. AS_TOKENS .. "getp: parity of 18 positions: [^\n]*\n")
end

-- ---- sampling ----

TestSampling = {}

function TestSampling.test_seeds()
  local hot = "-t 4 -p 1 -n 100 -s "
  local seven = answer(DEMO, hot .. 7)
  lu.assertEquals(answer(DEMO, hot .. 7), seven)
  lu.assertNotEquals(answer(DEMO, hot .. 8), seven)
  lu.assertNotEquals(answer(DEMO), seven)
  lu.assertEquals(answer(DEMO, "-t 4 -p 0 -n 100 -s 7"), seven, "-p 0 and -p 1 draw from all")
  lu.assertNotEquals(answer(DEMO, "-t 4 -p 0.5 -n 100 -s 7"), seven)
  lu.assertEquals(answer(DEMO, "-t 0 -s 7"), answer(DEMO, "-t 0 -s 8"), "greedy draws nothing")
  lu.assertEquals(answer(DEMO, "-t 4 -p 0.000001 -s 7"), answer(DEMO), "a small -p keeps the most probable")
  lu.assertNotEquals(answer(DEMO, hot .. "18446744073709551615"), seven)
end

-- The draws of a request depend on its number, not on the other prompts of the file.
function TestSampling.test_streams()
  local hot = "-t 4 -p 1 -n 100 -s 7"
  local all = support.lines(answer(DEMO, hot))
  local ten = support.prompts("prompts.txt", { table.unpack(demo_prompts(), 1, 10) })
  local first = support.lines(answer(ten, hot))
  lu.assertEquals(first, { table.unpack(all, 1, 10) })
  local same = support.lines(answer(support.prompts("prompts.txt", { "1 + 1 =", "1 + 1 =", "1 + 1 =" }), hot))
  lu.assertTrue(same[1] ~= same[2] or same[2] ~= same[3])
end

-- The probabilities of the token after some ids at a temperature, by their logits. `keeps(place, p, before)` says
-- whether the token at a place of the order is kept, from its probability relative to the first, and the sum before it.
local function probabilities(ids, temperature, keeps)
  local bytes, tokens, total, before, kept = abacus.logits { ids }, {}, 0, 0, {}
  for id = 0, abacus.VOCAB - 1 do
    tokens[id + 1] = { id = id, logit = (string.unpack("<f", bytes, 4 * (abacus.VOCAB * (#ids - 1) + id) + 1)) }
  end
  table.sort(tokens, function(a, b) return a.logit > b.logit or (a.logit == b.logit and a.id < b.id) end)
  for _, token in ipairs(tokens) do
    token.p = math.exp((token.logit - tokens[1].logit) / temperature)
    total = total + token.p
  end
  local sum = 0
  for place, token in ipairs(tokens) do
    if keeps(place, token.p, before / total) then
      kept[token.id] = token.p
      sum = sum + token.p
    end
    before = before + token.p
  end
  for id, p in pairs(kept) do kept[id] = p / sum end
  return kept
end

-- Pearson's statistic of counts in standard deviations; ids that are expected fewer than 5 times are one bin.
local function deviations(counts, draws, want)
  local bins, statistic, rare, rare_seen = 0, 0, 0, 0
  local function add(seen, expected)
    bins, statistic = bins + 1, statistic + (seen - expected) ^ 2 / expected
  end
  for id, p in pairs(want) do
    if p * draws >= 5 then
      add(counts[id] or 0, p * draws)
    else
      rare, rare_seen = rare + p * draws, rare_seen + (counts[id] or 0)
    end
  end
  if rare > 1 then add(rare_seen, rare) end
  return (statistic - (bins - 1)) / math.sqrt(2 * math.max(bins - 1, 1))
end

-- The first token of 3000 equal prompts follows the logits, with each flag that keeps some tokens.
function TestSampling.test_distribution()
  local DRAWS <const>, TEMPERATURE <const> = 3000, 6
  local sequence = abacus.REFERENCE.sequences[1]
  local ids = { table.unpack(sequence, 1, abacus.prompt_length(sequence)) }
  local prompts = {}
  local prompt = abacus.decode({ ids })[1]
  for i = 1, DRAWS do prompts[i] = prompt end
  local path = support.prompts("prompts.txt", prompts)
  for flags, keeps in pairs {
    ["-p 1"] = function() return true end,
    ["-p 0.7"] = function(_, _, before) return before <= 0.7 end,
    ["-p 1 --top-k 5"] = function(place) return place <= 5 end,
    ["-p 1 --min-p 0.25"] = function(_, p) return p >= 0.25 end,
    ["-p 0.9 --top-k 40 --min-p 0.1"] = function(place, p, before)
      return before <= 0.9 and place <= 40 and p >= 0.1
    end,
  } do
    local counts, want = {}, probabilities(ids, TEMPERATURE, keeps)
    for _, line in ipairs(support.lines(answer(path, string.format("-t %d %s -s 3 -n %d", TEMPERATURE, flags,
      #ids + 1)))) do
      local id = math.tointeger(tonumber(line))
      lu.assertNotNil(want[id], flags .. ": " .. line)
      counts[id] = (counts[id] or 0) + 1
    end
    local found = deviations(counts, DRAWS, want)
    lu.assertTrue(math.abs(found) < 4.5, string.format("%s: %.2f deviations", flags, found))
  end
end

os.exit(lu.LuaUnit.run())
