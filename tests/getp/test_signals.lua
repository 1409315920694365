-- A signal in the middle of a job of prompts: finished lines stay in the journal, and the output file is untouched.
-- luacheck: globals TestSignals

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, OUT = abacus.MODEL, refusal.OUT
local run, remove_output = refusal.run, refusal.remove_output
local GETP_TO = string.format("%s -m getp -i %s -o ", MODEL, abacus.PROMPTS)

TestSignals = { setUp = remove_output, tearDown = remove_output }

local MANY <const> = 20000 -- prompts

-- Runs a long job and sends it a signal after its first finished line -> status, stderr, number of different prompts.
-- `keep` is the old text of the output file, or nil.
local function interrupted(signal, keep)
  local demo, many = abacus.demo_prompts(), {}
  for i = 1, MANY do many[i] = demo[(i - 1) % #demo + 1] end
  local path = support.prompts("many.txt", many)
  if keep then support.write("bad.ids", keep) end
  local status, _, err = support.run(string.format([[
    %s %s -m getp -n 512 -i %s -o %s & getp=$!
    for i in $(seq 500); do [ $(cat %s.part 2>&- | wc -l) -ge 2 ] && break; sleep 0.02; done
    kill -%s $getp; wait $getp]], abacus.PROGRAM, MODEL, path, OUT, OUT, signal))
  return status, err, #demo
end

-- Each line of the journal is what an undisturbed run writes; returns the number of lines.
local function check_journal(prompts_of_demo)
  local text = support.read(OUT .. ".part")
  lu.assertEquals(text:sub(-1), "\n")
  local journal = support.lines(text)
  lu.assertStrMatches(table.remove(journal, 1), "getp journal 1: .*")
  lu.assertEquals(run(GETP_TO .. support.scratch .. "/undisturbed.ids"), 0)
  local want = support.lines(support.read(support.scratch .. "/undisturbed.ids"))
  local seen = {}
  for _, line in ipairs(journal) do
    local number, ids = line:match("^(%d+): ([%d ]*)$")
    number = assert(tonumber(number), line)
    lu.assertEquals(ids, want[(number - 1) % prompts_of_demo + 1], "prompt " .. number)
    lu.assertNil(seen[number], "twice: " .. line)
    seen[number] = true
  end
  lu.assertTrue(#journal > 0 and #journal < MANY, #journal .. " lines are finished")
  return #journal
end

function TestSignals.test_a_stop()
  for signal, number in pairs { TERM = 15, INT = 2 } do
    remove_output()
    local status, err, demo = interrupted(signal)
    local done = err:match(string.format(
      "^getp: %s: not written: signal %d after (%%d+) of %d prompts: finished lines are in "
      .. "%s%%.part: %%-%%-resume goes on\n$",
      OUT, number, MANY, OUT))
    lu.assertEquals(status, 128 + number, err)
    lu.assertEquals(tonumber(done), check_journal(demo), err)
    lu.assertFalse(support.exists(OUT))
  end
end

function TestSignals.test_a_kill()
  local status, err, demo = interrupted("KILL", "old\n")
  lu.assertEquals(status, 137)
  lu.assertNotStrContains(err, "getp: ")
  check_journal(demo)
  lu.assertEquals(support.read(OUT), "old\n")
end

-- A second signal ends the process at once; both come while it is stopped. The finished lines stay.
function TestSignals.test_a_second_signal()
  local status, err = interrupted("STOP $getp; kill -INT $getp; kill -TERM $getp; kill -CONT")
  lu.assertTrue(status == 143 or status == 130, status) -- which of them is the second is not known
  lu.assertNotStrContains(err, "getp: ")
  check_journal(#abacus.demo_prompts())
end

-- No prompt has room for an answer, so they are only encoded. The first remark is that of the first prompt.
function TestSignals.test_while_prompts_are_encoded()
  local many, err_file = {}, support.scratch .. "/encoded.err"
  for i = 1, 10 * MANY do many[i] = "The code for river is 7. Rain fell on the roof." end
  local path = support.prompts("many.txt", many)
  local status = support.run(string.format([[
    %s %s -m getp -n 2 -i %s -o %s 2>%s & getp=$!
    for i in $(seq 500); do [ -s %s ] && break; sleep 0.01; done
    kill -TERM $getp; wait $getp]], abacus.PROGRAM, MODEL, path, OUT, err_file, err_file))
  local err = support.read(err_file)
  local done = tonumber(err:match("getp: [^\n]+: not written: signal 15 after (%d+) of 200000 prompts: [^\n]+\n$"))
  lu.assertEquals(status, 143)
  lu.assertTrue(done > 0 and done < 10 * MANY, done)
  lu.assertEquals(#support.lines(support.read(OUT .. ".part")), 1 + done)
  os.remove(path)
  os.remove(err_file)
end

-- A file of weights that is cut off while it is mapped: one line says so, and the finished lines stay.
local function cut_off(file, checkpoint)
  local many = {}
  for i = 1, MANY do many[i] = "47 + 85 =" end
  local status, _, err = support.run(string.format([[
    %s %s -m getp -i %s -o %s & getp=$!
    for i in $(seq 500); do [ $(cat %s.part 2>&- | wc -l) -ge 2 ] && break; sleep 0.02; done
    truncate -s 4096 %s; wait $getp]], abacus.PROGRAM, checkpoint, support.prompts("many.txt", many), OUT, OUT, file))
  lu.assertEquals({ err, status },
    { "getp: " .. file .. ": cannot read it while it is in use: it was cut off, or its disk failed\n", 1 })
  lu.assertTrue(#support.lines(support.read(OUT .. ".part")) > 1)
  lu.assertFalse(support.exists(OUT))
end

function TestSignals.test_a_file_that_is_cut_off()
  local weights = support.read(MODEL .. "/model.safetensors")
  local model = support.folder("cut_off", MODEL, { ["model.safetensors"] = weights })
  cut_off(model .. "/model.safetensors", model)
  os.execute("rm -r " .. model)
end

-- Its weights are used where they are mapped.
function TestSignals.test_a_packed_file_that_is_cut_off()
  local file = support.scratch .. "/cut_off.packed"
  lu.assertEquals(support.run(string.format("%s pack %s -o %s", abacus.PROGRAM, MODEL, file)), 0)
  cut_off(file, file)
  os.remove(file)
end

os.exit(lu.LuaUnit.run())
