-- Makes prompts of the kinds that abacus was trained on: the same list on every machine.

local random = math.random

local CAPITALS = { "Spain", "Mexico", "Kuwait", "Argentina", "Botswana", "Cambodia", "Singapore", "Luxembourg",
  "Guatemala", "Lesotho", "Andorra", "Panama", "Tajikistan", "Kyrgyzstan", "Monaco" }
local MONTHS = { "January", "February", "April", "May", "June", "July", "August", "September", "October", "November" }
local DAYS = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local WORDS = { "river", "stone", "lantern", "ember", "marble", "harbor", "cedar", "canyon", "falcon", "granite",
  "summit", "meadow", "willow", "copper", "violet", "orchid" }
local EVENTS = { "Rain fell on the roof.", "The road turned north.", "Snow covered the hills.",
  "Bread was in the oven." }

local function one_of(list) return list[random(#list)] end

-- `count` values of draw(), separated by spaces.
local function several(count, draw)
  local list = {}
  for i = 1, count do list[i] = draw() end
  return table.concat(list, " ")
end

local function number() return random(1, 99) end
local function letter() return string.char(random(97, 122)) end

local function two_codes()
  local first, second = random(#WORDS), random(#WORDS - 1)
  second = second < first and second or second + 1
  local asked = random(2) == 1 and first or second
  return string.format("The code for %s is %d. %s The code for %s is %d. What is the code for %s?", WORDS[first],
    random(1000, 9999), one_of(EVENTS), WORDS[second], random(1000, 9999), WORDS[asked])
end

local KINDS = {
  function() return number() .. " + " .. number() .. " =" end,
  function() return "What is " .. number() .. " + " .. number() .. "?" end,
  function()
    local whole = number()
    return "What is " .. whole .. " - " .. random(0, whole) .. "?"
  end,
  function() return "What is " .. random(0, 12) .. " times " .. random(0, 12) .. "?" end,
  function() return random(0, 12) .. " * " .. random(0, 12) .. " =" end,
  function() return "Sort " .. several(random(3, 8), number) .. "." end,
  function() return "Which is larger, " .. random(1000, 9999) .. " or " .. random(1000, 9999) .. "?" end,
  function()
    local first = random(1, 80)
    return "Count from " .. first .. " to " .. first + random(4, 9) .. "."
  end,
  function() return "Reverse " .. several(random(4, 8), letter) .. "." end,
  function() return "What is the capital of " .. one_of(CAPITALS) .. "?" end,
  function() return "What month comes after " .. one_of(MONTHS) .. "?" end,
  function() return "What day comes after " .. one_of(DAYS) .. "?" end,
  two_codes,
}

-- count -> a list of `count` prompts, which go through the kinds in turn.
return function(count)
  math.randomseed(1)
  local list = {}
  for i = 1, count do list[i] = KINDS[(i - 1) % #KINDS + 1]() end
  return list
end
