-- Checks that getp refuses bad input: one line on stderr, exit status 1, no output file.

local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local ENDINGS <const> = { "", ".part" }
local PROMPT = support.prompts("one.txt", { "0 * 4 =" })

local refusal = {
  OUT = support.scratch .. "/bad.ids",
  PROMPT = PROMPT, -- a file with one prompt
  ANSWER = "220 15 1016\n", -- to that prompt
}

function refusal.run(arguments) return support.run(abacus.GETP .. " " .. arguments) end

-- stderr is one line that begins with "getp: ".
function refusal.assert_one_line(err, where)
  lu.assertStrMatches(err, "getp: [^\n]+\n", nil, nil, where .. ": " .. err)
end

function refusal.assert_no_output(where)
  for _, ending in ipairs(ENDINGS) do
    lu.assertFalse(support.exists(refusal.OUT .. ending), where .. ": left " .. refusal.OUT .. ending)
  end
end

function refusal.remove_output()
  for _, ending in ipairs(ENDINGS) do os.remove(refusal.OUT .. ending) end
end

-- Runs getp, which must refuse with exactly this message.
function refusal.refused(arguments, message)
  local status, _, err = refusal.run(arguments)
  lu.assertEquals({ err, status }, { "getp: " .. message .. "\n", 1 }, arguments)
end

-- The same with a Lua pattern for the whole message, for texts of libraries.
function refusal.refused_like(arguments, pattern)
  local status, _, err = refusal.run(arguments)
  refusal.assert_one_line(err, arguments)
  lu.assertStrMatches(err, "getp: " .. pattern .. "\n", nil, nil, arguments .. ": " .. err)
  lu.assertEquals(status, 1, arguments)
end

-- The arguments that answer one prompt with a checkpoint.
function refusal.job(checkpoint)
  return string.format("%s -m getp -i %s -o %s", checkpoint, PROMPT, refusal.OUT)
end

return refusal
