-- The 168 conversations of abacus_chat, which transformers completed greedily: rendered prompts through `-m generate
-- --special` have their completions, and at least as many are exact as transformers' own.
-- luacheck: globals TestConversations

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus_chat = require "tests.getp.abacus_chat"
local support = require "tests.support"

local MODEL, GETP, CONVERSATIONS = abacus_chat.MODEL, abacus_chat.GETP, abacus_chat.CONVERSATIONS
-- The tokens that end a completion. Generate does not print them.
local STOPS <const> = { "<|return|>", "<|call|>", "<|endoftext|>" }

TestConversations = {}

-- Runs generate on a prompt -> what it prints after the prompt, without the newline at the end; stderr without the
-- rate.
local function complete(prompt, arguments, environment)
  local status, out, err = support.run(string.format("%s %s %s %s", environment or "", GETP, MODEL, arguments))
  lu.assertEquals(status, 0, err)
  lu.assertStrContains(err, "achieved tok/s: ")
  lu.assertEquals(out:sub(1, #prompt), prompt)
  lu.assertEquals(out:sub(-1), "\n")
  return out:sub(#prompt + 1, -2), (err:gsub("achieved tok/s: [%d.]+\n", ""))
end

local function without_stop(text)
  for _, stop in ipairs(STOPS) do
    if text:sub(-#stop) == stop then return text:sub(1, -#stop - 1) end
  end
  return text
end

function TestConversations.test_completions()
  local exact, want = 0, 0
  for _, each in ipairs(CONVERSATIONS) do
    local completion, err = complete(each.prompt, "--special -i " .. support.quote(each.prompt))
    lu.assertEquals(err, "")
    local right = completion == without_stop(each.completion)
    if each.ok then lu.assertEquals(completion, without_stop(each.completion)) end
    exact, want = exact + (right and 1 or 0), want + (each.ok and 1 or 0)
  end
  print(string.format("# %d of %d completions are exact, %d with transformers", exact, #CONVERSATIONS, want))
  lu.assertTrue(exact >= want)
end

-- Without the flag, a conversation is recognised, and a remark says so. A newline at the end of a file does not count.
function TestConversations.test_a_conversation_is_recognised()
  local each = CONVERSATIONS[2]
  local file = support.write("conversation.txt", each.prompt .. "\n")
  for where, arguments in pairs { ["-i"] = "-i " .. support.quote(each.prompt), [file] = "-f " .. file } do
    local completion, err = complete(each.prompt, arguments)
    lu.assertEquals(completion, without_stop(each.completion))
    lu.assertEquals(err, "getp: " .. where .. ": a rendered conversation: its special tokens are read as tokens\n")
    lu.assertEquals({ complete(each.prompt, "--special " .. arguments) }, { completion, "" })
  end
end

-- In any other text special tokens are text, unless the flag is given.
function TestConversations.test_other_texts()
  local each = CONVERSATIONS[2]
  local cut = each.prompt:gsub("<|start|>assistant$", "")
  local arguments = "-n 400 -i " .. support.quote(cut)
  local _, err = complete(cut, arguments)
  lu.assertEquals(err, "getp: -i: the special token <|start|> is read as text: --special reads it as a token\n")
  local reply, none = complete(cut, "--special " .. arguments)
  lu.assertEquals(none, "")
  lu.assertEquals(reply, "<|start|>assistant" .. without_stop(each.completion))
  local _, plain = complete("47 + 85 =", "-i '47 + 85 ='")
  lu.assertEquals(plain, "")
end

-- The plain C forward pass gets the same ids.
function TestConversations.test_parity()
  local each = CONVERSATIONS[2]
  local _, err = complete(each.prompt, "--special -i " .. support.quote(each.prompt), "GETP_PARITY=1000")
  lu.assertStrMatches(err, "getp: parity of " .. #each.prompt_ids .. " positions: [^\n]*\n")
end

os.exit(lu.LuaUnit.run())
