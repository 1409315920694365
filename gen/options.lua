-- The command line of gen/main.lua. It knows the text of options; what lies on disk it does not know.
--
-- options = { config, target, name, dump, depfile (texts or nil), precision ("mixed" by default),
--   out ("generated" by default), slots, context (integers, or nil for the target's default),
--   action = "regen" | "check" | "list" | "help", or nil: generate a tree }

local options = {}

options.TARGETS = { "gfx90a", "sm_90", "cpu" }
options.PRECISIONS = { "mixed", "fp32" }
options.TARGET_LIST = "gfx90a, sm_90 or cpu"

-- The stages that --dump can print, in the order of the chain.
options.STAGES = { "config", "model", "weights", "ops", "kernels", "limits", "plan", "steps", "costs", "files" }

options.HELP = [[
usage: lua5.4 gen/main.lua --config PATH --target TARGET [options]
       lua5.4 gen/main.lua --regen | --check [--name NAME] [--depfile FILE] | --list | --help

Writes generated/NAME, the tree of one model on one target; `ninja NAME` then builds build/NAME/getp.
The tree remembers its command, so that --regen renews it. Run it from the root of the repository.

  --config PATH    a config.json, the folder that holds one (or original/config.json), or a .bin file
  --target TARGET  gfx90a, sm_90 or cpu
  --precision P    mixed (default); on GPUs also fp32, the baseline
  --slots N        sequences that run at the same time
  --context N      positions per sequence, prompt and answer together
  --name NAME      the tree's name; default: the config's name, then the target
  --out DIR        write below DIR instead of generated
  --dump STAGE     print one stage's value instead of writing:
                   config model weights ops kernels limits plan steps costs files
  --regen          make the trees of gen/trees.lua and your own anew
  --check          list the trees that are not current; exit 1 if a tree of gen/trees.lua is not, or,
                   with --name, if that tree is not
  --depfile FILE   where --check writes, as a make rule, which files it read
  --list           print the targets and the trees of gen/trees.lua
]]

local VALUES = { ["--config"] = "text", ["--target"] = "text", ["--precision"] = "text", ["--slots"] = "integer",
  ["--context"] = "integer", ["--name"] = "text", ["--out"] = "text", ["--dump"] = "text",
  ["--depfile"] = "text" }
local ACTIONS = { ["--regen"] = true, ["--check"] = true, ["--list"] = true, ["--help"] = true }

-- What a tree's command may say, in the order in which it says it. Where the tree lies says --out.
local REMEMBERED = { "config", "target", "precision", "slots", "context", "name" }
local COMMAND = "lua5.4 gen/main.lua"

-- Names that the build itself uses, in lower case: targets of the ninja files, and what they and the generator write
-- into build/ and generated/. tests/gen/test_names.lua reads the ninja files and checks that none is missing.
local RESERVED = {}
for name in ([[
  bench build chat check checkpoint current demo emulator figures fuzz fuzz_targets gen generated gpu harness
  license make_checkpoint near_ties pass programs read_config readme.md regen runtime sanitize simt simt_32 simt_64
  templates test test-gpu test-thorough tests time trees units
  ]]):gmatch("%S+") do
  RESERVED[name] = true
end
local RESERVED_PATTERNS <const> = { "%.ninja$", "%.stamp$", "%.[ado]$", "%.so%.%d$", "%.getp%-%l+$", "^test_[%w_]*$" }

local MOST_LETTERS <const> = 100 -- of a name

-- Whether a folder may be a tree.
function options.is_name(name) return name:find("^[%w_][%w._-]*$") ~= nil end

-- Names that a file system without upper case, or ninja, takes for another.
local function is_reserved(name)
  local lower = name:lower()
  for _, pattern in ipairs(RESERVED_PATTERNS) do
    if lower:find(pattern) then return true end
  end
  return RESERVED[lower]
end

-- A text for a message, on one line.
local function shown(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    if c:find("%c") then return string.format("\\x%02x", c:byte()) end
    return "\\" .. c
  end) .. '"'
end

local function fail(format, ...) error(string.format(format, ...), 0) end

local function value_of(flag, text)
  if text == nil or text == "" then fail("%s: want a value after it, got nothing; see --help", flag) end
  if VALUES[flag] == "text" then return text end
  local number = text:find("^%d+$") and math.tointeger(tonumber(text))
  if not number or number < 1 then fail("%s: want a positive integer, got %s", flag, shown(text)) end
  return number
end

-- The words of a command line -> options.
function options.parse(words)
  local parsed, i = { precision = "mixed", out = "generated" }, 1
  while words[i] do
    local flag = words[i]
    if ACTIONS[flag] then
      parsed.action, i = flag:sub(3), i + 1
    elseif VALUES[flag] then
      parsed[flag:sub(3)] = value_of(flag, words[i + 1])
      i = i + 2
    else
      fail("%s: unknown option; see --help", (flag:gsub("%c", "?")))
    end
  end
  return parsed
end

-- Whether a text can stand in a comment of generated code without changing what a compiler or a reader sees: it is
-- UTF-8 without control characters, line separators, and characters that turn the direction of a text.
local function is_plain(text)
  if not utf8.len(text) or text:find("%c") then return false end
  for _, code in utf8.codes(text) do
    local separates, turns = code == 0x2028 or code == 0x2029, code >= 0x202A and code <= 0x202E
    if separates or turns or code >= 0x80 and code <= 0x9F or code >= 0x2066 and code <= 0x2069 then return false end
  end
  return true
end

-- The gate of options that generate a tree.
function options.check(parsed)
  if not parsed.config then fail("--config: want PATH, got nothing; see --help") end
  for _, key in ipairs { "config", "out" } do
    if not is_plain(parsed[key]) then
      fail("--%s: want a path in UTF-8 without control characters, got %s", key, shown(parsed[key]))
    end
  end
  if not parsed.target then fail("--target: want %s, got nothing; see --help", options.TARGET_LIST) end
  if not parsed.dump then return end
  for _, stage in ipairs(options.STAGES) do
    if stage == parsed.dump then return end
  end
  fail("--dump: want one of %s, got %s", table.concat(options.STAGES, " "), shown(parsed.dump))
end

-- The gate of a tree's name. If it comes from the path of the config, the message names that and says what to do.
local function check_name(name, parsed)
  local function refuse(want, got)
    if parsed.name then fail("--name: want %s, got %s", want, got) end
    fail("%s: want %s in the tree's name, got %s: give the tree a --name", parsed.config, want, got)
  end
  if not options.is_name(name) then refuse("letters, digits, '-', '_' and '.'", shown(name)) end
  if #name > MOST_LETTERS then refuse(string.format("at most %d letters", MOST_LETTERS), #name) end
  if is_reserved(name) then refuse("a name that the build does not use", shown(name)) end
end

-- The name of the tree that options ask for. path: the config file. A config.json has the name of its folder, and in
-- a folder `original` that of the folder above; another file has its own.
function options.tree_name(parsed, path)
  local folder, file = path:match("^(.-)/?([^/]+)$")
  local stem = file:gsub("%.json$", ""):gsub("%.bin$", "")
  if file == "config.json" then stem = folder:match("([^/]+)/original$") or folder:match("([^/]+)$") end
  local default = stem and stem:find("^[^.]")
    and stem .. "-" .. parsed.target .. (parsed.precision == "fp32" and "-fp32" or "")
  local name = parsed.name or default
  if not name then fail("--config: want a path with a name for the tree, or a --name, got %s", shown(parsed.config)) end
  check_name(name, parsed)
  return name, default
end

-- ---- the command that a tree remembers ----

-- A word of a shell's command line.
local function quoted(text)
  if text:find("^[%w_./+:,@-]+$") then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command that makes the tree of these options: those that differ from the defaults, in a fixed order.
-- default_name: the tree's name if --name is not given.
function options.command(parsed, default_name)
  local words = { COMMAND }
  for _, key in ipairs(REMEMBERED) do
    local value = parsed[key]
    local default = key == "precision" and value == "mixed" or key == "name" and value == default_name
    if value ~= nil and not default then
      words[#words + 1] = string.format("--%s %s", key, quoted(tostring(value)))
    end
  end
  return table.concat(words, " ")
end

-- The words of a command that options.command has written: quotes, and between them `\` before a quote.
local function words_of(text)
  local words, word = {}, nil
  while text ~= "" do
    local plain, inside = text:match("^[^%s'\\]+"), text:match("^'([^']*)'")
    local piece = plain or inside or text:match("^\\(.)")
    if piece then
      word = (word or "") .. piece
      text = text:sub(1 + #piece + (plain and 0 or inside and 2 or 1))
    elseif text:find("^%s") then
      words[#words + 1], word = word, nil
      text = text:sub(2)
    else
      fail("want a closing quote")
    end
  end
  words[#words + 1] = word
  return words
end

-- A tree's command -> options.
function options.parse_command(command)
  local rest = command:match("^" .. COMMAND:gsub("%p", "%%%0") .. " (.+)$")
  if not rest then fail("want %s and its options", COMMAND) end
  local parsed = options.parse(words_of(rest))
  if parsed.action or parsed.dump or parsed.depfile then fail("want only the options of a tree") end
  parsed.out = "generated"
  options.check(parsed)
  return parsed
end

return options
