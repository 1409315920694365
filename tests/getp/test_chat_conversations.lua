-- The 168 conversations of abacus_chat through `-m chat`: the flags, turns and results of calls of each. At least as
-- many replies are exact as with transformers.
-- luacheck: globals TestConversations

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus_chat = require "tests.getp.abacus_chat"
local support = require "tests.support"

TestConversations = {}

-- The messages of a prompt or a reply: { header =, text = }.
local function split(text)
  local list = {}
  for header, content in text:gmatch "<|start|>([^\n]-)<|message|>(.-)<|%a+|>" do
    list[#list + 1] = { header = header, text = content }
  end
  return list
end

-- What the user types in a conversation, a line per message; what chat prints on stdout before the last reply; and the
-- lines of its calls on stderr.
local function history_of(conversation)
  local typed, printed, calls = {}, {}, {}
  for _, message in ipairs(split(conversation.prompt)) do
    local header = message.header
    if header == "user" or header:find "^functions" then
      typed[#typed + 1] = message.text .. "\n"
    elseif header:find "final$" then
      printed[#printed + 1] = message.text .. "\n"
    elseif header:find " to=" then
      calls[#calls + 1] = string.format("call %s %s\n", header:match " to=(%S-)<", message.text)
    end
  end
  return table.concat(typed), table.concat(printed), calls
end

-- What the last reply prints on stdout and stderr.
local function reply_of(conversation)
  local answer, reasoning = "", ""
  for _, message in ipairs(split("<|start|>assistant" .. conversation.completion)) do
    if message.header:find "final$" then answer = message.text .. "\n" end
    if message.header:find "analysis$" then reasoning = message.text .. "\n" end
  end
  return answer, reasoning
end

-- Runs a conversation -> whether the model's earlier answers were those of the history, and whether the last reply is
-- exact.
local function run(conversation)
  local typed, printed, calls = history_of(conversation)
  local answer, reasoning = reply_of(conversation)
  local out, err = abacus_chat.chat(typed, abacus_chat.flags(conversation))
  local same = out:sub(1, #printed) == printed and #support.lines(out) == #support.lines(printed) + 1
  for _, call in ipairs(calls) do lu.assertStrContains(err, call) end
  return same, out == printed .. answer and err:sub(#err - #reasoning + 1) == reasoning
end

function TestConversations.test_as_many_are_exact_as_with_transformers()
  local ran, exact, wanted, singles, single_exact, single_wanted = 0, 0, 0, 0, 0, 0
  lu.assertEquals(#abacus_chat.CONVERSATIONS, 168)
  for _, conversation in ipairs(abacus_chat.CONVERSATIONS) do
    local same, is_exact = run(conversation)
    local ok = conversation.ok
    local is_single = not conversation.prompt:find "<|channel|>final"
    if is_single then
      lu.assertTrue(same)
      singles = singles + 1
      single_exact, single_wanted = single_exact + (is_exact and 1 or 0), single_wanted + (ok and 1 or 0)
    end
    if same then
      ran, exact, wanted = ran + 1, exact + (is_exact and 1 or 0), wanted + (ok and 1 or 0)
    end
  end
  print(string.format("# %d of %d conversations could be said, %d exact (transformers: %d); %d of %d single turns", ran,
    #abacus_chat.CONVERSATIONS, exact, wanted, single_exact, singles))
  lu.assertTrue(exact >= wanted, exact .. " of " .. wanted)
  lu.assertTrue(single_exact >= single_wanted, single_exact .. " of " .. single_wanted)
  lu.assertTrue(ran >= 150, ran)
end

os.exit(lu.LuaUnit.run())
