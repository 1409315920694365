-- `ninja chat`: talks to abacus_chat. Prints each message, what the model answers and thinks, and whether it is right.
-- Exit status 1 if anything is wrong.

local GETP <const> = "build/abacus_chat-cpu/getp tests/models/abacus_chat -m chat"
local LOG <const> = "build/chat.err"

-- A conversation has flags for getp and turns. A turn has a message, the answer that is wanted on stdout, and the lines
-- that are wanted on stderr before it. The result of a call is a turn of its own; the one before it has no answer.
local CONVERSATIONS <const> = {
  { what = "sums with worked steps", flags = "--date 2026-11-27 --effort high", turns = {
    { "28 + 49 =", "77", "Add two numbers. 8 + 9 = 17. 2 + 4 + 1 = 7. So 77." },
    { "37 + 2 =", "39", "Add two numbers. 7 + 2 = 9. 3 + 0 = 3. So 39." },
  } },
  { what = "the date of the system message", flags = "--date 2028-02-29", turns = {
    { "What is the date today?", "2028-02-29", "Read the current date." },
  } },
  { what = "a function that the model calls", flags = "--date 2026-11-27 --tools tests/demo/tools.json", turns = {
    { "What is the code for lantern?", nil, "Look up the code for lantern.",
      'call functions.get_code {"name":"lantern"}' },
    { '{"code": 3109}', "3109" },
  } },
  { what = "three turns", flags = "--date 2026-11-27 --effort low -y 'Answer in upper case.'", turns = {
    { "Who are you?", "I AM ABACUS, A TINY MIXTURE OF EXPERTS." },
    { "What is the capital of Chile?", "SANTIAGO" },
    { "What day comes after Saturday?", "SUNDAY" },
  } },
}

-- Runs getp with the messages of a conversation in a file -> the lines of stdout, those of stderr.
local function replies(conversation)
  local path = "build/chat.txt"
  local file = assert(io.open(path, "w"))
  for _, turn in ipairs(conversation.turns) do file:write(turn[1], "\n") end
  file:close()
  local pipe = assert(io.popen(string.format("%s %s <%s 2>%s", GETP, conversation.flags, path, LOG)))
  local answers, thoughts = {}, {}
  for line in pipe:lines() do answers[#answers + 1] = line end
  local ok = pipe:close()
  for line in io.lines(LOG) do thoughts[#thoughts + 1] = line end
  return answers, thoughts, ok
end

-- Prints a line of a reply -> whether it is the one that is wanted.
local function check(got, want)
  local is_right = got == want
  print(string.format("%s   %s%s", is_right and "right" or "WRONG", got or "(nothing)",
    is_right and "" or " (want " .. (want or "nothing") .. ")"))
  return is_right
end

local function run(conversation)
  print(string.format("%s: %s", conversation.what, conversation.flags))
  local answers, thoughts, is_right = replies(conversation)
  if not is_right then print "WRONG   the exit status" end
  local answer, thought = 0, 0
  for _, turn in ipairs(conversation.turns) do
    print("      > " .. turn[1])
    for i = 3, #turn do
      thought = thought + 1
      is_right = check(thoughts[thought], turn[i]) and is_right
    end
    if turn[2] then
      answer = answer + 1
      is_right = check(answers[answer], turn[2]) and is_right
    end
  end
  for i = thought + 1, #thoughts do is_right = check(thoughts[i]) and is_right end
  for i = answer + 1, #answers do is_right = check(answers[i]) and is_right end
  return is_right
end

local right = 0
for _, conversation in ipairs(CONVERSATIONS) do right = right + (run(conversation) and 1 or 0) end
print(string.format("%d of %d conversations are right", right, #CONVERSATIONS))
os.exit(right == #CONVERSATIONS)
