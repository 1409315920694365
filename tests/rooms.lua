-- Checks the rooms of runtime/: `lua5.4 tests/rooms.lua`. A file includes its own room and the rooms below it, by paths
-- from runtime/. Modules include each other without a circle; a .c file and its header are one module. Every violation
-- is one line, `FILE:LINE: includes X: why`.

local lfs = require "lfs"

local rooms = {}

-- The floor of each room. A room includes itself and rooms on lower floors; rooms on one floor do not see each other.
-- "" is the root of runtime/, with the session and the options; main is a room of its own.
local FLOORS <const> = { base = 1, formats = 2, checkpoint = 3, tokenizer = 3, weights = 4, device = 5, harmony = 5,
  engine = 6, serve = 7, reference = 8, [""] = 9, mode = 10, main = 11 }

-- The design says "about 12 files in a room". base has 13, each of them small, and holds the limit.
local MOST_MODULES <const> = 13

-- Headers of a generated tree, which engine/ includes: it is compiled once per tree. So are all files *.inc.
local GENERATED <const> = { ["arena.h"] = true, ["kernels.h"] = true, ["kv.h"] = true, ["model.h"] = true }

-- Macros that stand for an include: each machine defines TARGET_STAGED as its own target/MACHINE/staged.h.
local MACROS <const> = { TARGET_STAGED = true }

-- target/ is included by kernels only. Its machines include target/, formats/, the row record of a pass and how threads
-- of the host divide it. Its other folders are shared by machines.
local MACHINES <const> = { cpu = true, gfx90a = true, sm_90 = true }
local BELOW_TARGET <const> = { ["engine/claims.h"] = true, ["engine/pass.h"] = true }

-- Shared headers that include a machine's, so that they compile alone.
local COMPILES_ALONE <const> = { ["target/mixed/machine.h"] = "target/gfx90a/machine.h" }

-- ---- reading ----

local function list_sources(root, folder, found)
  local names = {}
  for name in lfs.dir(root .. "/" .. folder) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = folder == "" and name or folder .. "/" .. name
    if not name:find("^%.") and lfs.attributes(root .. "/" .. path, "mode") == "directory" then
      list_sources(root, path, found)
    elseif name:find("%.[ch]$") then
      found[#found + 1] = path
    end
  end
  return found
end

-- "serve/batch.c" -> "serve"; "session.h" -> ""; "target/sm_90/hip/x.h" -> "target"
local function room_of(path)
  if path == "main.c" then return "main" end
  return path:match("^([^/]+)/") or ""
end

-- "serve/batch.h" -> "serve/batch"
local function module_of(path) return (path:gsub("%.[ch]$", "")) end

-- "target/sm_90/hip/x.h" -> "sm_90"
local function machine_of(path) return path:match("^target/([^/]+)/") or "" end

-- ---- one include ----

local function check_target(from, to)
  local own, other = machine_of(from), machine_of(to)
  if COMPILES_ALONE[from] == to then return nil end
  if room_of(to) == "target" then
    if MACHINES[other] and own ~= other then
      return MACHINES[own] and "that is another machine" or "a file that machines share names no machine"
    end
  elseif room_of(to) ~= "formats" and not BELOW_TARGET[to] then
    return "target/ includes only itself, formats/, engine/claims.h and engine/pass.h"
  end
end

-- Why a file may not include a path, or nil.
local function check_include(files, from, to)
  local own, other = room_of(from), room_of(to)
  if GENERATED[to] or to:find("^[^/]+%.inc$") then
    return own ~= "engine" and "only engine/ is compiled for a tree" or nil
  end
  if not files[to] then return "want a path from runtime/" end
  if own == "target" then return check_target(from, to) end
  if other == "target" then return "only kernels include target/" end
  if own == other then return nil end
  if not FLOORS[own] or not FLOORS[other] then
    return string.format("%s/ is not in the list of rooms", FLOORS[own] and other or own)
  end
  if FLOORS[other] >= FLOORS[own] then
    return FLOORS[other] == FLOORS[own] and "a room on the same floor" or "a room above"
  end
end

-- The includes of a file: { line =, name =, macro = true if it is the name of a macro }.
local function includes_of(path)
  local list, number = {}, 0
  for line in io.lines(path) do
    number = number + 1
    local name, macro = line:match('^%s*#%s*include%s*"([^"]*)"'), line:match("^%s*#%s*include%s+([%a_][%w_]*)")
    if name or macro then list[#list + 1] = { line = number, name = name or macro, macro = macro ~= nil } end
  end
  return list
end

-- ---- circles ----

-- Adds a message for each circle: { [module] = { { to =, where =, name = } } } is the graph of the includes.
local function find_circles(modules, messages)
  local state, path = {}, {}
  local function visit(module)
    state[module], path[#path + 1] = "open", module
    for _, edge in ipairs(modules[module] or {}) do
      if state[edge.to] == "open" then
        local first = #path
        while path[first] ~= edge.to do first = first - 1 end
        messages[#messages + 1] = string.format("%s: includes %s: a circle: %s -> %s", edge.where, edge.name,
          table.concat(path, " -> ", first), edge.to)
      elseif not state[edge.to] then
        visit(edge.to)
      end
    end
    state[module], path[#path] = "done", nil
  end
  local names = {}
  for name in pairs(modules) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if not state[name] then visit(name) end
  end
end

-- ---- all of runtime/ ----

local function check_sizes(root, sources, messages)
  local count, seen, folders = {}, {}, {}
  for _, path in ipairs(sources) do
    local folder, module = path:match("^(.*)/[^/]*$") or "", module_of(path)
    if not seen[module] then
      if not count[folder] then folders[#folders + 1] = folder end
      seen[module], count[folder] = true, (count[folder] or 0) + 1
    end
  end
  for _, folder in ipairs(folders) do
    if count[folder] > MOST_MODULES then
      messages[#messages + 1] = string.format("%s/%s: want at most %d modules, found %d", root, folder, MOST_MODULES,
        count[folder])
    end
  end
end

-- The violations in a folder like runtime/, one line each.
function rooms.check(root)
  local sources, files, modules, messages = list_sources(root, "", {}), {}, {}, {}
  for _, path in ipairs(sources) do files[path] = true end
  for _, from in ipairs(sources) do
    local own = module_of(from)
    modules[own] = modules[own] or {}
    for _, include in ipairs(includes_of(root .. "/" .. from)) do
      local name, where = include.name, string.format("%s/%s:%d", root, from, include.line)
      local why
      if include.macro then
        why = not MACROS[name] and "a macro that is not in the list" or nil
      else
        why = check_include(files, from, name)
      end
      if why then messages[#messages + 1] = string.format("%s: includes %s: %s", where, name, why) end
      if files[name] and module_of(name) ~= own then
        table.insert(modules[own], { to = module_of(name), where = where, name = name })
      end
    end
  end
  find_circles(modules, messages)
  check_sizes(root, sources, messages)
  return messages
end

if ... then return rooms end

local messages = rooms.check("runtime")
for _, message in ipairs(messages) do print(message) end
os.exit(#messages == 0)
