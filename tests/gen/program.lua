-- Runs gen/main.lua as a program, for the tests of its command line and of the files that it writes.

local lu = require "luaunit"
local support = require "tests.support"

local program = { scratch = support.scratch .. "/main" } -- suites that run at the same time have their own

assert(os.execute(string.format("mkdir -p %s", program.scratch)))

-- Runs a shell command -> exit status, stdout, stderr.
function program.shell(command)
  local out, err = program.scratch .. "/stdout", program.scratch .. "/stderr"
  local _, _, status = os.execute(string.format("( %s ) >%s 2>%s", command, out, err))
  return status, support.read(out), support.read(err)
end

-- Runs the generator with shell words, after a prefix for the shell (`HOME=/`, `cd DIR &&`) -> exit status, stdout,
-- stderr.
function program.run(words, prefix)
  return program.shell(string.format("%s lua5.4 gen/main.lua %s", prefix or "", words))
end

function program.succeed(words, prefix)
  local status, out, err = program.run(words, prefix)
  lu.assertEquals({ status, err }, { 0, "" }, words)
  return out
end

function program.refused(words, message, prefix)
  local status, out, err = program.run(words, prefix)
  lu.assertEquals({ status, out, err }, { 1, "", "gen/main.lua: " .. message .. "\n" }, words)
end

function program.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

-- { [path below the folder] = text }, without the lock of a folder of trees
function program.contents(folder)
  local texts = {}
  local pipe = assert(io.popen("cd " .. folder .. " && find . -type f ! -name .lock"))
  for path in pipe:lines() do texts[path:sub(3)] = support.read(folder .. "/" .. path) end
  pipe:close()
  return texts
end

return program
