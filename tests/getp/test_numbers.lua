-- Logits that are no numbers end one request, on the cpu.
-- luacheck: globals TestNumbers

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local spoiled = require "tests.getp.spoiled"
local support = require "tests.support"

TestNumbers = {}

function TestNumbers.test_one_request_fails() spoiled.check_one_request_fails(abacus.GETP) end

function TestNumbers.test_against_logits() lu.assertTrue(spoiled.check_against_logits(abacus.GETP) >= 25) end

-- generate prints what it has and fails; chat says so, forgets the turn and goes on.
function TestNumbers.test_other_modes()
  local folder = spoiled.folder()
  local status, out, err = support.run(string.format("%s %s -i 'Count from 53 to 57.' -n 40", abacus.GETP, folder))
  lu.assertEquals({ status, out, err }, { 1, "Count from 53 to 57.\n",
    "getp: -i: position 9: want logits that are numbers, found NaN\n" })
  local messages = support.write("chat.txt", "Count from 53 to 57.\n")
  status, out, err = support.run(string.format("%s %s -m chat --date 2026-01-02 <%s", abacus.GETP, folder, messages))
  lu.assertEquals({ status, out }, { 1, "\n" })
  lu.assertStrMatches(err, "getp: chat: the reply: position %d+: want logits that are numbers, found NaN\n")
end

-- A turn that failed is not part of the conversation: the next one is answered as if it were the first.
function TestNumbers.test_chat_goes_on()
  local folder, flags = spoiled.folder(), "-m chat --date 2026-01-02"
  local function answers(model, text)
    return (select(2, support.run(string.format("%s %s %s <%s", abacus.GETP, model, flags,
      support.write("chat.txt", text)))))
  end
  lu.assertEquals(answers(folder, "Count from 53 to 57.\n/new\nThank you!\n"),
    "\n" .. answers(abacus.MODEL, "Thank you!\n"))
end

os.exit(lu.LuaUnit.run())
