-- How chat reads messages: from a file, a pipe and a terminal, with several lines, and from -f.
-- luacheck: globals TestFile TestPipe TestTerminal TestFlag

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus_chat = require "tests.getp.abacus_chat"
local support = require "tests.support"

local MODEL, GETP, PROGRAM = abacus_chat.MODEL, abacus_chat.GETP, abacus_chat.PROGRAM
local IN_FOREGROUND <const> = GETP:gsub("timeout", "timeout --foreground") -- may read from a terminal
local REFUSED <const> = "--date 2026-11-27 --effort low -n 2" -- has no room for any message

-- The numbers of tokens of the conversations that remarks name.
local function counts_in(err)
  local list = {}
  for tokens in err:gmatch "with it the conversation has (%d+) tokens" do list[#list + 1] = tonumber(tokens) end
  return list
end

-- The same for messages that are given by -i.
local function counts_of(messages)
  local list = {}
  for i, message in ipairs(messages) do
    local _, _, err = support.run(string.format("%s %s -m chat %s -i %s </dev/null", GETP, MODEL, REFUSED,
      support.quote(message)))
    list[i] = counts_in(err)[1]
    lu.assertNotNil(list[i], err)
  end
  return list
end

-- Runs a shell command whose stdin getp reads -> counts.
local function counts_by(command)
  local status, out, err = support.run(command)
  lu.assertEquals(status, 1, err)
  local list = counts_in(err)
  lu.assertEquals(out, ("\n"):rep(#list), "an empty line instead of each reply")
  return list
end

local function from_file(text)
  return counts_by(string.format("%s %s -m chat %s <%s", GETP, MODEL, REFUSED, support.write("messages.txt", text)))
end

local function from_pipe(text)
  local path = support.write("messages.txt", text)
  return counts_by(string.format("cat %s | %s %s -m chat %s", path, GETP, MODEL, REFUSED))
end

-- ---- a file ----

TestFile = {}

function TestFile.test_a_line_is_a_message()
  lu.assertEquals(from_file "Sort these:\n74 82 25.\n\n\n8 + 5 =", counts_of { "Sort these:", "74 82 25.", "8 + 5 =" })
end

function TestFile.test_a_backslash_continues()
  lu.assertEquals(from_file "Sort these:\\\n74 82 25.\n8 + 5 =\n", counts_of { "Sort these:\n74 82 25.", "8 + 5 =" })
  lu.assertEquals(from_file "a\\\n\\\nb\\\n  c \\\\\n\n8 + 5 =\n", counts_of { "a\n\nb\n  c \\", "8 + 5 =" })
  lu.assertEquals(from_file "a \\ b\n8 + 5 =\\", counts_of { "a \\ b", "8 + 5 =" })
  lu.assertEquals(from_file "\\\n\\\n8 + 5 =\n", counts_of { "8 + 5 =" })
  lu.assertEquals((abacus_chat.chat("Sort 31\\\n38 8.\n", "--effort low --date 2026-11-27")), "8 31 38\n")
end

function TestFile.test_long_lines()
  local long = ("27 + 4 = "):rep(2000)
  lu.assertEquals(from_file(long .. "\n" .. long .. "\\\n" .. long), counts_of { long, long .. "\n" .. long })
end

-- A file that was saved on Windows has the messages of one that was saved on Linux, as has a pipe.
function TestFile.test_line_ends()
  local text = "Sort these:\\\n74 82 25.\n\n8 + 5 =\n"
  local other = "\xEF\xBB\xBF" .. text:gsub("\n", "\r\n")
  lu.assertEquals(from_file(other), counts_of { "Sort these:\n74 82 25.", "8 + 5 =" })
  lu.assertEquals(from_file(other:sub(1, -2)), from_file(text))
  lu.assertEquals(from_pipe(other), from_pipe(text))
end

-- In a file, marks of pasted text are text.
function TestFile.test_marks_are_text()
  lu.assertEquals(from_file "\27[200~a\nb\27[201~\n", counts_of { "\27[200~a", "b\27[201~" })
end

-- ---- a pipe ----

TestPipe = {}

function TestPipe.test_lines_that_arrive_together()
  lu.assertEquals(from_pipe "Sort these:\n74 82 25.\n", counts_of { "Sort these:\n74 82 25." })
  lu.assertEquals(from_pipe "\n\na\n\nb\n\n", counts_of { "a\n\nb" })
  lu.assertEquals(from_pipe "a\\\nb", counts_of { "a\nb" })
end

-- A program writes a line and waits for the reply; one of the lines goes on, one comes in two pieces.
function TestPipe.test_a_conversation_with_a_program()
  local status, out = support.run(string.format([[
    fifo=%s/messages.fifo; rm -f $fifo; mkfifo $fifo
    %s %s -m chat --effort low --date 2026-11-27 <$fifo >%s/answers & chat=$!
    exec 3>$fifo
    wait_for() { for i in $(seq 500); do [ "$(wc -l <%s/answers)" = $1 ] && break; sleep 0.02; done; }
    echo '8 + 5 =' >&3; wait_for 1
    echo 'Sort 31\' >&3; sleep 0.2; echo '38 8.' >&3; wait_for 2
    printf '64 + ' >&3; sleep 0.2; echo '18 =' >&3; wait_for 3
    exec 3>&-; wait $chat; cat %s/answers]], support.scratch, GETP, MODEL, support.scratch, support.scratch,
    support.scratch))
  lu.assertEquals({ status, out }, { 0, "13\n8 31 38\n82\n" })
end

-- ---- a terminal ----

TestTerminal = {}

-- Types a text into a terminal, in which a command runs -> its status, the screen.
local function on_terminal(command, typed, term)
  local path = support.write("typed.txt", typed)
  local status, screen = support.run(string.format("TERM=%s script -qec %s /dev/null <%s", term or "xterm",
    support.quote(command), path))
  return status, screen
end

-- The counts of messages that are typed or pasted.
local function typed_counts(typed)
  local err = support.scratch .. "/typed.err"
  on_terminal(string.format("%s %s -m chat %s 2>%s", IN_FOREGROUND, MODEL, REFUSED, err), typed)
  return counts_in(support.read(err))
end

local function paste(text) return "\27[200~" .. text .. "\27[201~" end

function TestTerminal.test_pasted_text_is_one_message()
  lu.assertEquals(typed_counts(paste "a\nb\n\nc" .. "\n8 + 5 =\n"), counts_of { "a\nb\n\nc", "8 + 5 =" })
  lu.assertEquals(typed_counts("Sort " .. paste "31\n38" .. " 8.\n"), counts_of { "Sort 31\n38 8." })
  lu.assertEquals(typed_counts("x" .. paste "a\nb" .. "y" .. paste "c\nd" .. "z\n"), counts_of { "xa\nbyc\ndz" })
  lu.assertEquals(typed_counts(paste "a\\\nb\\" .. "\n8 + 5 =\n"), counts_of { "a\\\nb\\", "8 + 5 =" })
  lu.assertEquals(typed_counts(paste "\n\n" .. "\n8 + 5 =\n"), counts_of { "8 + 5 =" })
  lu.assertEquals(typed_counts(paste "a\n" .. "\n8 + 5 =\n"), counts_of { "a", "8 + 5 =" })
end

function TestTerminal.test_typed_lines()
  lu.assertEquals(typed_counts "a\nb\n\n\nc\n", counts_of { "a", "b", "c" })
  lu.assertEquals(typed_counts "a\\\nb\nc\n", counts_of { "a\nb", "c" })
  lu.assertEquals(typed_counts(paste "a\nb" .. "\\\nc\n"), counts_of { "a\nb\nc" })
end

-- Whoever deletes the last pasted character deletes a part of the mark first.
function TestTerminal.test_a_mark_that_was_deleted()
  local mark = "\27[201~"
  for n = 1, #mark - 1 do
    lu.assertEquals(typed_counts("\27[200~a\nb" .. mark:sub(1, n) .. "\n8 + 5 =\n"), counts_of { "a\nb", "8 + 5 =" }, n)
  end
end

local CHAT <const> = string.format("%s %s -m chat --effort medium --date 2026-11-27", IN_FOREGROUND, MODEL)

function TestTerminal.test_the_screen()
  local status, screen = on_terminal(CHAT, "8 + 5 =\n" .. paste "Sort 31\n38 8." .. "\n")
  lu.assertEquals(status, 0)
  lu.assertStrContains(screen, "> \27[2mAdd two numbers.\27[0m\r\n13\r\n"
    .. "> \27[2mSort the numbers.\27[0m\r\n8 31 38\r\n> \r\n")
  local _, before = screen:gsub("\27%[%?2004h", "")
  lu.assertEquals(before, 1)
  lu.assertStrMatches(screen, ".*\27%[%?2004h.*\27%[%?2004l")
end

-- Without escape sequences, reasoning is marked by a word.
function TestTerminal.test_a_dumb_terminal()
  local _, screen = on_terminal(CHAT, "8 + 5 =\n", "dumb")
  lu.assertStrContains(screen, "> reasoning: Add two numbers.\r\n13\r\n> \r\n")
  lu.assertNotStrContains(screen, "2004")
end

function TestTerminal.test_the_prompt_of_a_result()
  local _, screen = on_terminal(CHAT .. " --tools " .. abacus_chat.TOOLS,
    'What is the code for lantern?\n{"code": 3109}\n8 + 5 =\n')
  lu.assertStrContains(screen, 'call functions.get_code {"name":"lantern"}\r\nfunctions.get_code> 3109\r\n> ')
end

-- The answers go to a file: the prompt is on stderr, and the file has only them.
function TestTerminal.test_answers_to_a_file()
  local path = support.scratch .. "/answers"
  local _, screen = on_terminal(CHAT .. " >" .. path, "8 + 5 =\n")
  lu.assertEquals(support.read(path), "13\n")
  lu.assertStrContains(screen, "> ")
  lu.assertNotStrContains(screen, "2004")
end

-- Every end switches the marks off; SIGTSTP does, too, and goes on with them.
function TestTerminal.test_signals()
  local pid, typescript = support.scratch .. "/pid", support.scratch .. "/typescript"
  local command = string.format("echo $$ >%s; exec env --default-signal=QUIT %s %s -m chat", pid, PROGRAM, MODEL)
  local function screen_after(kills)
    return support.run(string.format([[
      rm -f %s; fifo=%s/messages.fifo; rm -f $fifo; mkfifo $fifo; exec 4<>$fifo
      (TERM=xterm script -qfec %s %s <$fifo >/dev/null; echo "status $?") & script=$!
      wait_for() { for i in $(seq 500); do "$@" && break; sleep 0.02; done; }
      shown() { [ "$(grep -o 2004h %s 2>/dev/null | wc -l)" = $1 ]; }
      stopped() { grep -q 'State:.T' /proc/$1/status; }
      wait_for shown 1; sleep 0.3; %s; wait $script; cat %s]], typescript, support.scratch, support.quote(command),
      typescript, typescript, kills:gsub("PID", "$(cat " .. pid .. ")"), typescript))
  end
  for signal, status in pairs { INT = 130, TERM = 143, QUIT = 131, HUP = 129 } do
    local _, screen = screen_after("kill -" .. signal .. " PID")
    lu.assertStrMatches(screen, ".*\27%[%?2004h.*> .*\27%[%?2004l.*", nil, nil, signal)
    lu.assertStrContains(screen, "status " .. status, false, signal)
  end
  local _, screen =
    screen_after "kill -TSTP PID; wait_for stopped PID; kill -CONT PID; wait_for shown 2; kill -TERM PID"
  lu.assertStrMatches(screen, ".*2004h.*> .*2004l.*2004h.*> .*2004l.*")
end

-- ---- -f ----

TestFlag = {}

local function file(text) return support.write("message.txt", text) end

function TestFlag.test_a_file_is_one_message()
  local function count(text)
    return counts_by(string.format("%s %s -m chat %s -f %s </dev/null", GETP, MODEL, REFUSED, file(text)))
  end
  lu.assertEquals(count "Sort these:\n74 82 25.\n", counts_of { "Sort these:\n74 82 25." })
  lu.assertEquals(count "Sort these:\\\n74 82 25.", counts_of { "Sort these:\\\n74 82 25." })
  lu.assertTrue(count("\n\na\n\n")[1] > count("a\n")[1], "only the last newline does not count")
  local flags = "--effort low --date 2026-11-27 -f " .. file "8 + 5 =\n"
  lu.assertEquals((abacus_chat.chat("64 + 18 =\n", flags)), "13\n82\n", "then stdin")
end

function TestFlag.test_generate()
  local function generate(arguments)
    local status, out, err = support.run(GETP .. " " .. MODEL .. " " .. arguments)
    lu.assertEquals(status, 0, err)
    return out
  end
  lu.assertEquals(generate("-n 40 -f " .. file "8 + 5 =\n"), generate "-n 40 -i '8 + 5 ='")
  lu.assertEquals(generate("-n 40 -m generate --file " .. file "8 +\n5 ="), generate "-n 40 -i '8 +\n5 ='")
end

function TestFlag.test_bad_files()
  for _, mode in ipairs { "chat", "generate" } do
    local function refused(path, why)
      local status, out, err = support.run(string.format("%s %s -m %s -f %s </dev/null", GETP, MODEL, mode, path))
      lu.assertEquals({ status, out, err }, { 1, "", "getp: " .. path .. ": " .. why .. "\n" })
    end
    refused("nowhere.txt", "No such file or directory")
    refused("tests", "Is a directory")
    refused(file "", "want at least one character, found none")
    refused(file "\n", "want at least one character, found none")
    refused(file "a\0b", "byte 2: want a character, found NUL")
    refused(file "ab\xff", "byte 3: want UTF-8, found 0xff")
  end
end

os.exit(lu.LuaUnit.run())
