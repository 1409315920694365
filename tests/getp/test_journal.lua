-- The journal of `-m getp`: what a kill, a failure or a full disk leaves, who may write it, and --resume, whose result
-- is that of an undisturbed run. `lua5.4 tests/getp/test_journal.lua --kills N` only kills N runs at random moments.
-- luacheck: globals TestResume TestRefused TestKills

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, OUT, PART = abacus.MODEL, refusal.OUT, refusal.OUT .. ".part"
local N <const> = 40 -- prompts
local KILLS = arg[1] == "--kills" and math.tointeger(tonumber(arg[2])) or 10
local FLAGS <const> = " -t 2.5 -s 4 -n 60"

-- Prompts whose answers differ, so that a line in the wrong place is seen. The third has no room for an answer.
local function write_prompts(name, word)
  local list = {}
  for i = 1, N do list[i] = string.format("The code for %s is %d. Rain fell on the roof.", word or "river", i) end
  list[3] = ("word "):rep(60)
  return support.prompts(name, list)
end

local PROMPTS = write_prompts("journal.txt")

-- The command of a job. Waiting threads and a second thread would only make it slower.
local function command(flags, prompts, out)
  return string.format("OMP_NUM_THREADS=1 timeout 60 %s %s -m getp -i %s -o %s %s", abacus.PROGRAM, MODEL,
    prompts or PROMPTS, out or OUT, flags or FLAGS)
end

local function run(flags, prompts, out)
  local status, _, err = support.run(command(flags, prompts, out))
  return status, err
end

local TOO_LONG = "getp: " .. PROMPTS
  .. ":4: want fewer than 60 tokens, but the prompt has 62 tokens: its line is empty\n"

-- The output of an undisturbed run.
local function undisturbed()
  refusal.remove_output()
  local status, err = run()
  lu.assertEquals({ err, status }, { TOO_LONG, 1 })
  lu.assertFalse(support.exists(PART))
  return support.read(OUT)
end

local WANT = undisturbed()

-- Makes the journal of a job that was killed after some lines: of the prompts `numbers`, without the last `cut` bytes.
local function write_journal(header, numbers, cut)
  local lines, wanted = { header }, support.lines(WANT)
  for _, number in ipairs(numbers) do
    lines[#lines + 1] = number .. (number == 3 and " failed: " or ": ") .. wanted[number]
  end
  local text = table.concat(lines, "\n") .. "\n"
  refusal.remove_output()
  support.write("bad.ids.part", text:sub(1, -1 - (cut or 0)))
  return text
end

-- The first line of the journal of a job: a run that is killed has written it.
local function header_of(flags, prompts)
  refusal.remove_output()
  support.run(string.format([[%s >/dev/null & getp=$!
    for i in $(seq 2000); do [ $(cat %s 2>&- | wc -l) -ge 2 ] && break; sleep 0.01; done
    kill -KILL $getp; wait $getp]], command(flags, prompts):gsub("timeout 60 ", ""), PART))
  return support.read(PART):match "^[^\n]+"
end

local HEADER = header_of()

-- ---- taking up ----

TestResume = { setUp = refusal.remove_output, tearDown = refusal.remove_output }

function TestResume.test_first_line()
  lu.assertStrMatches(HEADER, "getp journal 1: tree=abacus%-cpu; model=%x+; checkpoint=%x+; stop ids=1016,1015,1022; "
    .. "tokenizer=%x+; prompts=40,%x+; %-n=60; %-%-special=no; %-t=2%.5; %-p=0%.899999976; %-%-top%-k=0; "
    .. "%-%-min%-p=0; %-s=4")
end

local function assert_taken_up(done, flags, err_too)
  local status, err = run((flags or FLAGS) .. " --resume")
  lu.assertEquals({ err, status }, { done .. (err_too or TOO_LONG), 1 })
  lu.assertTrue(support.read(OUT) == WANT)
  lu.assertFalse(support.exists(PART))
end

local function taken_up(n, failed)
  return string.format("getp: %s: taken up: %d of %d prompts are done%s\n", PART, n, N,
    failed and ", " .. failed .. " of them failed" or "")
end

function TestResume.test_result()
  write_journal(HEADER, { 2, 40, 1, 17 })
  assert_taken_up(taken_up(4))
end

-- A prompt that failed is not tried again, and the exit status still says so.
function TestResume.test_a_prompt_that_failed()
  write_journal(HEADER, { 3, 5 })
  assert_taken_up(taken_up(2, 1), nil, "")
end

function TestResume.test_all_lines_are_there()
  local all = {}
  for i = 1, N do all[i] = N + 1 - i end
  write_journal(HEADER, all)
  assert_taken_up(taken_up(N, 1), nil, "")
end

-- A line without a LF is not finished, wherever it is cut off.
function TestResume.test_a_line_that_is_cut_off()
  for _, cut in ipairs { 1, 2, 4 } do
    write_journal(HEADER, { 9, 20 }, cut)
    assert_taken_up(taken_up(1))
  end
  write_journal(HEADER, { 20 }, #support.lines(WANT)[20] + 2)
  assert_taken_up("getp: " .. PART .. ": no finished lines in it: the job begins with its first prompt\n")
end

function TestResume.test_without_a_journal()
  assert_taken_up("getp: " .. PART .. ": no finished lines in it: the job begins with its first prompt\n")
end

-- Finished lines are not run again: a line that a run would not write comes back as it is.
function TestResume.test_lines_are_not_run_again()
  write_journal(HEADER, { 1, 2 })
  support.write("bad.ids.part", HEADER .. "\n7: 1 2 3\n")
  run(FLAGS .. " --resume")
  local lines = support.lines(support.read(OUT))
  lu.assertEquals(lines[7], "1 2 3")
  lines[7] = support.lines(WANT)[7]
  lu.assertTrue(table.concat(lines, "\n") .. "\n" == WANT)
end

-- What changes no result may differ: slots, chunks, line ends.
function TestResume.test_other_ways_to_the_same_result()
  write_journal(HEADER, { 8 })
  assert_taken_up(taken_up(1), FLAGS .. " -b 2 --chunk 3")
  write_journal(HEADER, { 8 })
  local crlf = support.write("journal_crlf.txt", "\xEF\xBB\xBF" .. support.read(PROMPTS):gsub("\n", "\r\n"))
  lu.assertEquals((run(FLAGS .. " --resume", crlf)), 1)
  lu.assertTrue(support.read(OUT) == WANT)
end

-- A seed that nobody gave is said, and --resume goes on with it.
function TestResume.test_a_seed_that_nobody_gave()
  local header = header_of(" -t 2.5 -n 60")
  local seed = header:match "; %-s=(%d+)$"
  local status, err = run(" -t 2.5 -n 60 --resume")
  lu.assertEquals(status, 1)
  lu.assertStrContains(err, "getp: -s: the seed of this run is " .. seed .. "\n")
  local resumed = support.read(OUT)
  run(" -t 2.5 -n 60 -s " .. seed)
  lu.assertTrue(support.read(OUT) == resumed)
  lu.assertNotEquals(header_of(" -t 2.5 -n 60"), header)
end

-- With the most probable tokens no seed matters.
function TestResume.test_greedy()
  local header = header_of " -n 60 -s 3"
  lu.assertStrMatches(header, ".*; %-t=0")
  local status, err = run " -n 60 -s 9 --resume"
  lu.assertEquals(status, 1)
  lu.assertStrContains(err, "taken up: ")
  lu.assertNotStrContains(err, "seed")
end

-- A full disk is no job of the past: with room again, the same command goes on. A limit on the size of files stands
-- for it.
function TestResume.test_a_full_disk()
  local status, _, err = support.run("ulimit -f 2; " .. command())
  lu.assertEquals({ err, status }, { TOO_LONG .. "getp: " .. PART .. ": File too large\n", 1 })
  local left = support.read(PART)
  lu.assertStrMatches(left, "getp journal 1! .*\n")
  lu.assertFalse(support.exists(OUT))
  status, err = run(" -t 2.5 -s 5 -n 60")
  lu.assertEquals(status, 1)
  lu.assertStrContains(err, "want no unfinished job")
  lu.assertEquals(support.read(PART), left)
  lu.assertEquals((run()), 1)
  lu.assertTrue(support.read(OUT) == WANT)
  lu.assertFalse(support.exists(PART))
end

-- ---- refusals: the journal stays as it is ----

TestRefused = { setUp = refusal.remove_output, tearDown = refusal.remove_output }

local function refused(flags, prompts, message, before)
  local text = support.read(PART)
  local status, _, err = support.run((before or "") .. command(flags, prompts))
  lu.assertEquals({ err, status }, { "getp: " .. message .. "\n", 1 })
  lu.assertTrue(support.read(PART) == text)
  lu.assertFalse(support.exists(OUT))
end

local BOTH_WAYS <const> = ": want no unfinished job, found one with %d of its prompts done: --resume takes it up, and "
  .. "removing the file starts anew"

function TestRefused.test_an_unfinished_job()
  write_journal(HEADER, { 1, 2, 9 })
  refused(FLAGS, nil, PART .. BOTH_WAYS:format(3))
  refused(" -n 50", write_prompts("other.txt", "lantern"), PART .. BOTH_WAYS:format(3))
end

function TestRefused.test_another_job()
  write_journal(HEADER, { 1, 2, 9 })
  local function differs(name, has, found, flags, prompts)
    refused(flags .. " --resume", prompts, string.format("%s: %s: want %s, with which the job began, found %s: give "
      .. "the same, or remove the file to start anew", PART, name, has, found))
  end
  differs("-s", "4", "5", " -t 2.5 -s 5 -n 60")
  differs("-t", "2.5", "1", " -t 1 -s 4 -n 60")
  differs("-n", "60", "61", " -t 2.5 -s 4 -n 61")
  differs("-p", "0.899999976", "1", FLAGS .. " -p 1")
  differs("--top-k", "0", "9", FLAGS .. " --top-k 9")
  differs("--min-p", "0", "0.5", FLAGS .. " --min-p 0.5")
  differs("--special", "no", "yes", FLAGS .. " --special")
  local has, other = HEADER:match "prompts=([^;]+)", write_prompts("other.txt", "lantern")
  refusal.remove_output()
  local found = header_of(FLAGS, other):match "prompts=([^;]+)"
  lu.assertNotEquals(found, has)
  write_journal(HEADER, { 1 })
  differs("prompts", has, found, FLAGS, other)
end

-- One bit of one weight.
function TestRefused.test_another_checkpoint()
  local weights = support.read(MODEL .. "/model.safetensors")
  local other = support.folder("journal_model", MODEL, { ["model.safetensors"] = weights:sub(1, -2)
    .. string.char(weights:byte(-1) ~ 1) })
  write_journal(HEADER, { 1, 2 })
  local text = support.read(PART)
  local status, _, err = support.run((command(FLAGS .. " --resume"):gsub(MODEL, other)))
  lu.assertEquals(status, 1)
  lu.assertStrMatches(err, "getp: " .. PART .. ": checkpoint: want %x+, with which the job began, found %x+: [^\n]+\n")
  lu.assertTrue(support.read(PART) == text)
  os.execute("rm -r " .. other)
end

function TestRefused.test_no_journal()
  for _, text in ipairs { "1: 2 3\n", "hello", "\n", "getp journal 2: x=1\n", "1\nWhat?\n" } do
    support.write("bad.ids.part", text)
    for _, flags in ipairs { FLAGS, FLAGS .. " --resume" } do
      refused(flags, nil, PART .. ": want a journal of getp, found something else: remove it, or choose another -o")
    end
  end
end

function TestRefused.test_damaged_lines()
  for _, line in ipairs { "0: 1", "41: 1", "x: 1", "4: 1 a", "4:1", "4 failed 1", "04: 1", "1: 5", "-1: 5", "4: -1",
    "" } do
    local text = write_journal(HEADER, { 1 })
    support.write("bad.ids.part", text .. line .. "\n5: 7\n")
    refused(FLAGS .. " --resume", nil,
      string.format('%s:3: want the line of a prompt, found "%s": remove the file to start anew', PART, line))
  end
end

-- A start that fails before its first line leaves the lines of another run, and no journal of its own.
function TestRefused.test_a_start_that_fails()
  local weights = support.read(MODEL .. "/model.safetensors")
  local broken = support.folder("journal_model", MODEL, { ["model.safetensors"] =
    weights:gsub("layers%.3%.self_attn%.sinks", "layers.3.self_attn.sinkz") })
  local status, _, err = support.run((command():gsub(MODEL, broken)))
  lu.assertEquals(status, 1)
  lu.assertStrContains(err, "sinks")
  lu.assertFalse(support.exists(PART))
  local text = write_journal(HEADER, { 1, 2 })
  lu.assertEquals((support.run((command():gsub(MODEL, broken)))), 1)
  lu.assertTrue(support.read(PART) == text)
  os.execute("rm -r " .. broken)
end

-- The second of two jobs with one output is refused, and the first is not disturbed.
function TestRefused.test_two_jobs()
  local link = support.scratch .. "/journal.link"
  os.execute(string.format("ln -sf bad.ids %s", link))
  for _, out in ipairs { OUT, link } do
    refusal.remove_output()
    local first = support.scratch .. "/first"
    local status, _, err = support.run(string.format([[%s >/dev/null 2>%s & getp=$!
      for i in $(seq 2000); do [ -s %s ] && break; sleep 0.01; done
      kill -STOP $getp; %s >/dev/null; s=$?; kill -CONT $getp; wait $getp; echo $? >>%s; exit $s]],
      command():gsub("timeout 60 ", ""), first, PART, command(" -n 30 --resume", nil, out), first))
    lu.assertEquals({ err, status }, { string.format("getp: %s: in use: another getp that writes it holds %s\n", out,
      PART), 1 })
    lu.assertEquals(support.read(first), TOO_LONG .. "1\n")
    lu.assertTrue(support.read(OUT) == WANT)
  end
  os.remove(link)
end

-- A journal that is a link or no file is not written through.
function TestRefused.test_links()
  local victim = support.write("victim", "precious\n")
  os.execute(string.format("ln -s victim %s", PART))
  local status, err = run()
  lu.assertEquals({ err, status }, { "getp: " .. PART .. ": want a regular file, found a link\n", 1 })
  lu.assertEquals(support.read(victim), "precious\n")
  os.remove(PART)
  os.execute("mkfifo " .. PART)
  status, err = run()
  lu.assertEquals({ err, status }, { "getp: " .. PART .. ": want a regular file, found something else\n", 1 })
end

function TestRefused.test_resume_elsewhere()
  for _, arguments in ipairs { MODEL .. " -i x", MODEL .. " -m logits -i x -o x", "decode -i x -z x",
    "pack " .. MODEL .. " -o x" } do
    refusal.refused(arguments .. " --resume", "--resume: want -m getp, found another mode: see --help")
  end
  refusal.refused(string.format("%s -m getp -i %s -o /dev/null --resume", MODEL, PROMPTS),
    "/dev/null: want a regular file for --resume, found something else")
end

-- ---- kills ----

TestKills = { setUp = refusal.remove_output, tearDown = refusal.remove_output }

-- Each run is killed at a random moment of the time that it takes; every third one is killed again when it is taken up.
function TestKills.test_random_moments()
  local seed = os.time()
  math.randomseed(seed)
  local _, seconds = support.run("bash -c 'TIMEFORMAT=%R; time " .. command() .. "' 2>&1 >/dev/null | tail -1")
  local taken, most = 0, tonumber(seconds)
  for kill = 1, KILLS do
    refusal.remove_output()
    for again = 0, kill % 3 == 0 and 1 or 0 do
      support.run(string.format("%s >/dev/null & getp=$!; sleep %.3f; kill -KILL $getp; wait $getp",
        command(FLAGS .. (again == 1 and " --resume" or "")):gsub("timeout 60 ", ""), most * math.random()))
    end
    local killed = not support.exists(OUT)
    local status, err = run(FLAGS .. " --resume")
    local where = string.format("kill %d of %d, seed %d: %s", kill, KILLS, seed, err)
    taken = taken + (err:find("taken up", 1, true) and 1 or 0)
    lu.assertEquals(status, 1, where)
    lu.assertTrue(support.read(OUT) == WANT, where)
    lu.assertFalse(support.exists(PART), where)
    lu.assertTrue(killed or support.exists(OUT), where)
  end
  print(string.format("# %d of %d killed runs had finished lines, which were taken up", taken, KILLS))
end

local selected = arg[1] == "--kills" and { "-o", "tap", "-p", "TestKills" } or arg
os.exit(lu.LuaUnit.run(table.unpack(selected)))
