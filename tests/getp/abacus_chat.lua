-- The getp of abacus_chat-cpu and its model, which was trained on conversations in the harmony format; and what chat
-- must print by the published format and the logits alone. The ids of all texts are those that transformers encoded.

local json = require "dkjson"
local lu = require "luaunit"
local support = require "tests.support"

local MODEL <const> = "tests/models/abacus_chat"
local VOCAB <const> = 1536
local RETURN <const>, CHANNEL <const>, START <const>, END <const>, MESSAGE <const> = 1528, 1530, 1531, 1532, 1533
local STOP <const> = { [1527] = true, [RETURN] = true, [1534] = true }

local abacus_chat = {
  MODEL = MODEL,
  TOKENIZER = MODEL .. "/tokenizer.json",
  GETP = "OMP_NUM_THREADS=1 timeout 60 " .. support.getp "abacus_chat-cpu", -- waiting threads take cores from others
  PROGRAM = support.getp "abacus_chat-cpu",
  CONTEXT = 1024,
  CONVERSATIONS = json.decode(support.read(MODEL .. "/conversations.json")),
  TOOLS = "tests/demo/tools.json",
}

-- Runs `-m chat` with a text on stdin, from a file -> status, stdout, stderr.
function abacus_chat.try(input, flags)
  return support.run(string.format("%s %s -m chat %s <%s", abacus_chat.GETP, MODEL, flags or "",
    support.write("abacus_chat.txt", input)))
end

-- The same; it must succeed -> stdout, stderr.
function abacus_chat.chat(input, flags)
  local status, out, err = abacus_chat.try(input, flags)
  lu.assertEquals(status, 0, err)
  return out, err
end

-- Runs a conversation that does not fit into -n -> the number of its tokens by the remark.
function abacus_chat.count(input, flags)
  local _, _, err = abacus_chat.try(input, flags)
  return tonumber(err:match "with it the conversation has (%d+) tokens"), err
end

-- The most probable id after a sequence.
local function next_id(ids)
  local out = support.scratch .. "/abacus_chat.f32"
  local status, _, err = support.run(string.format("%s %s -m logits -i %s -o %s", abacus_chat.GETP, MODEL,
    support.ids("abacus_chat.ids", { ids }), out))
  lu.assertEquals(status, 0, err)
  local values = { string.unpack("<" .. ("f"):rep(VOCAB), support.read(out), 4 * VOCAB * (#ids - 1) + 1) }
  local best = 1
  for i = 2, VOCAB do
    if values[i] > values[best] then best = i end
  end
  return best - 1
end

-- The text of ids.
function abacus_chat.decode(ids)
  local status, out, err = support.run(string.format("%s decode -z %s -i %s", abacus_chat.GETP, abacus_chat.TOKENIZER,
    support.ids("abacus_chat.ids", { ids })))
  lu.assertEquals(status, 0, err)
  return out:sub(1, -2)
end

-- Finds a conversation by its kind and a text in its prompt.
function abacus_chat.find(kind, effort, text)
  for _, each in ipairs(abacus_chat.CONVERSATIONS) do
    if each.kind == kind and each.effort == effort and each.prompt:find(text, 1, true) then return each end
  end
  error("no such conversation: " .. text)
end

-- The first index of an id from `from` on.
local function index_of(ids, id, from)
  for i = from, #ids do
    if ids[i] == id then return i end
  end
end

-- The messages of a conversation's prompt as lists of ids, each from START to before the next START.
function abacus_chat.messages(conversation)
  local ids, list, at = conversation.prompt_ids, {}, 1
  while at do
    local following = index_of(ids, START, at + 1)
    list[#list + 1] = { table.unpack(ids, at, (following or #ids + 1) - 1) }
    at = following
  end
  return list
end

-- The flags that make chat send the system and developer message of a conversation.
function abacus_chat.flags(conversation)
  local prompt = conversation.prompt
  local date = prompt:match "Current date: (%d+%-%d+%-%d+)"
  local flags = string.format("--date %s --effort %s", date, conversation.effort)
  local instructions = prompt:match "# Instructions\n\n([^\n<]*)"
  if instructions then flags = flags .. " -y " .. support.quote(instructions) end
  return flags .. (prompt:find("# Tools", 1, true) and " --tools " .. abacus_chat.TOOLS or "")
end

function abacus_chat.extend(ids, ...)
  for _, more in ipairs { ... } do table.move(more, 1, #more, #ids + 1, ids) end
  return ids
end

-- Splits a reply into its messages: { text =, ids = from the channel to the end of the text }.
local function split_reply(reply)
  local list, at = {}, 1
  while at <= #reply do
    local message = assert(index_of(reply, MESSAGE, at))
    local last = index_of(reply, END, at) or #reply
    local text = abacus_chat.decode { table.unpack(reply, message + 1, last - 1) }
    list[#list + 1] = { text = text, ids = { table.unpack(reply, at, last - 1) } }
    at = last + 1
    if reply[at] == START then at = index_of(reply, CHANNEL, at) end
  end
  return list
end

-- The greedy reply to a prompt, with the stop id: each id is picked from the logits of all ids before it.
local function greedy_reply(prompt)
  local reply = {}
  repeat
    reply[#reply + 1] = next_id(abacus_chat.extend({}, prompt, reply))
  until STOP[reply[#reply]]
  return reply
end

-- What chat must print for questions, messages of ids, after those in `head` -> stdout, stderr, and the ids of the
-- history at the end. It has the answers of the questions, but not their reasoning.
function abacus_chat.expected(head, questions)
  local first = abacus_chat.messages(abacus_chat.CONVERSATIONS[1])
  local assistant = first[#first] -- the beginning of a reply
  local history, out, err = abacus_chat.extend({}, table.unpack(head)), {}, {}
  for _, question in ipairs(questions) do
    abacus_chat.extend(history, question)
    local reply = split_reply(greedy_reply(abacus_chat.extend({}, history, assistant)))
    for i, message in ipairs(reply) do
      local list = i == #reply and out or err
      list[#list + 1] = message.text .. "\n"
    end
    abacus_chat.extend(history, assistant, reply[#reply].ids, { END })
  end
  return table.concat(out), table.concat(err), history
end

return abacus_chat
