-- Reads a config, runs the chain of stages, and writes the files that changed, by gen/disk.lua. No other file of the
-- generator touches the disk.
--
-- generated/ holds two kinds of trees. Those of gen/trees.lua are committed, and generated/trees.ninja lists them. The
-- user's own trees are ignored by git, and generated/own.ninja lists them. Ninja cannot include a file that is missing,
-- and a fresh clone must build with plain `ninja`. So own.ninja is committed, too, without a tree in it. Generating a
-- tree must not change a committed file for git. So the generator, where it writes own.ninja, marks that file in git's
-- index with `git update-index --skip-worktree`, and removes the mark with the last own tree. own.ninja holds the
-- edges of the trees, because ninja would stop at the name of a file whose folder was deleted by hand.

package.path = "./?.lua;" .. package.path

local bin_header = require "gen.bin_header"
local chain = require "gen.chain"
local config = require "gen.config"
local disk = require "gen.disk"
local dump = require "gen.dump"
local emit = require "gen.emit"
local options = require "gen.options"
local tables = require "gen.tables"
local target = require "gen.target"

local GENERATED <const>, OWN_NINJA <const> = "generated", "generated/own.ninja"

local fail, entries, mode_of, read_file = disk.fail, disk.entries, disk.mode_of, disk.read

local function say(format, ...) io.write(string.format(format, ...), "\n") end

-- ---- files ----

-- The templates of every tree, and those in the target's folder: { [path] = text }.
local function read_templates(target_folder)
  local templates = {}
  for _, folder in ipairs { "templates", target_folder } do
    for _, name in ipairs(entries(folder, "file")) do
      templates[folder .. "/" .. name] = read_file(folder .. "/" .. name)
    end
  end
  return templates
end

-- A make rule by which ninja learns when to check again: after a change of any file read, or any module loaded. A name
-- that a make rule cannot hold (with quotes, for instance) is a missing file for ninja, which then checks every time.
local function write_depfile(path)
  for name in pairs(package.loaded) do
    if name:find("^gen%.") then disk.was_read[name:gsub("%.", "/") .. ".lua"] = true end
  end
  disk.was_read["gen/main.lua"] = true
  local words = {}
  for _, name in ipairs(tables.sorted_keys(disk.was_read)) do
    words[#words + 1] = name:gsub("[ #]", "\\%0"):gsub("%$", "$$")
  end
  disk.write_if_changed(path, path:gsub("%.d$", "") .. ": " .. table.concat(words, " ") .. "\n")
end

-- ---- one tree ----

-- A path of --config -> the path of the file, and its last two names as a label. A folder holds a config.json, or
-- one in its folder `original`.
local function config_path(path)
  path = path:gsub("(.)/+$", "%1")
  if mode_of(path) == "directory" then
    local file, original = path .. "/config.json", path .. "/original/config.json"
    path = not mode_of(file) and mode_of(original) and original or file
  end
  return path, path:match("([^/]+/[^/]+)$") or path
end

local function name_of(given) return options.tree_name(given, (config_path(given.config))) end

local function load_target(name)
  for _, known in ipairs(options.TARGETS) do
    if known == name then
      local precisions = require("gen.target." .. name)
      for _, precision in ipairs(options.PRECISIONS) do
        local record = precisions[precision]
        if record then target.check(record, string.format("gen/target/%s.lua", name)) end
      end
      return precisions
    end
  end
  return fail("--target: want %s, got %q", options.TARGET_LIST, name)
end

local function load_precision(given)
  local precisions = load_target(given.target)
  if precisions[given.precision] then return precisions[given.precision] end
  return fail("--precision: want %s on target %s, got %q", table.concat(tables.sorted_keys(precisions), " or "),
    given.target, given.precision)
end

local function parse_config(path)
  local parsed, remarks
  if path:find("%.bin$") then
    parsed, remarks = config.parse_bin(read_file(path, bin_header.BYTES), disk.size_of(path), path)
  else
    parsed, remarks = config.parse(read_file(path), path)
  end
  if not parsed then fail("%s", table.concat(remarks, "\n")) end
  for _, warning in ipairs(remarks or {}) do io.stderr:write("gen/main.lua: warning: ", warning, "\n") end
  return parsed
end

-- options -> the stages of a tree, and its name, label, command and files.
local function run_chain(given)
  local path, label = config_path(given.config)
  local name, default_name = name_of(given)
  local tree = chain.run(parse_config(path), load_precision(given), given)
  tree.name, tree.label, tree.command = name, label, options.command(given, default_name)
  tree.files = emit.files(tree, read_templates(tree.target.templates))
  return tree
end

-- The first entry of a folder that no run of the generator has made, or nil. Empty files are what a full disk left.
local function foreign(folder)
  local folders = entries(folder, "directory")
  if folders[1] then return folders[1] end
  for _, name in ipairs(entries(folder, "file")) do
    local text = read_file(folder .. "/" .. name)
    local first = text:match("^[^\n]*")
    if text ~= "" and not first:find(" Code generated by gen/main.lua ", 1, true) then return name end
  end
  return nil
end

-- On some file systems a name that differs only in case is the same.
local function refuse_other_case(name, out)
  for _, other in ipairs(entries(out, "directory")) do
    if other ~= name and other:lower() == name:lower() then
      fail('--name: want a name that differs from %s/%s in more than case, got "%s"', out, other, name)
    end
  end
end

-- Files that the tree no longer has are removed, so the folder must be the tree's own.
local function write_tree(tree, out)
  refuse_other_case(tree.name, out)
  local folder = out .. "/" .. tree.name
  local other = foreign(folder)
  if other then fail("%s/%s: not made by the generator: remove it, or give another --name", folder, other) end
  disk.replace_folder(folder, tree.files)
end

-- How the files in a tree's folder differ from what they should be, as lines.
local function differences(tree)
  local lines, folder = {}, GENERATED .. "/" .. tree.name
  for _, name in ipairs(tables.sorted_keys(tree.files)) do
    local path = folder .. "/" .. name
    if mode_of(path) ~= "file" then
      lines[#lines + 1] = path .. ": missing"
    elseif read_file(path) ~= tree.files[name] then
      lines[#lines + 1] = path .. ": stale"
    end
  end
  for _, name in ipairs(entries(folder, "file")) do
    if not tree.files[name] then lines[#lines + 1] = folder .. "/" .. name .. ": not made by the generator" end
  end
  for _, name in ipairs(entries(folder, "directory")) do
    lines[#lines + 1] = folder .. "/" .. name .. ": not made by the generator"
  end
  return lines
end

-- ---- the committed trees ----

-- gen/trees.lua -> a list of options, and { [name of the tree] = its options }.
local function committed()
  local list, of = {}, {}
  for i, entry in ipairs(require "gen.trees") do
    local given = { precision = "mixed", out = GENERATED }
    for key, value in pairs(entry) do given[key] = value end
    list[i], of[name_of(given)] = given, given
  end
  return list, of
end

local function committed_trees_ninja()
  local _, of = committed()
  return emit.trees_ninja(tables.sorted_keys(of))
end

-- The text of trees.ninja in a folder other than generated: it lists every tree there.
local function trees_ninja(out)
  local names = {}
  for _, name in ipairs(entries(out, "directory")) do
    if options.is_name(name) and mode_of(out .. "/" .. name .. "/build.ninja") then names[#names + 1] = name end
  end
  return emit.trees_ninja(names)
end

-- The options of gen/trees.lua for the tree that `given` makes, or nil for an own tree. Other options are refused.
local function listed_options(given)
  local _, of = committed()
  local name = name_of(given)
  local listed = of[name]
  if not listed then return nil end
  local function command(each)
    return options.command(setmetatable({ config = config_path(each.config) }, { __index = each }), name)
  end
  if command(given) == command(listed) then return listed end
  return fail("--name: want a name that gen/trees.lua does not list with other options, got %q", name)
end

-- ---- the user's own trees ----

-- A folder of generated/ is an own tree if its build.ninja has a command and gen/trees.lua does not list it.
-- -> list of { name, command, build (the text of its build.ninja) }, sorted by name; wrong is set if the command is not
-- one that makes this folder.
local function own_trees()
  local list, _, listed = {}, committed()
  for _, name in ipairs(entries(GENERATED, "directory")) do
    local path = string.format("%s/%s/build.ninja", GENERATED, name)
    local build = options.is_name(name) and not listed[name] and mode_of(path) == "file" and read_file(path)
    local command = build and emit.command_of(build)
    if command then
      local tree = { name = name, command = command, build = build }
      local ok, made = pcall(function() return name_of(options.parse_command(command)) end)
      if not ok then tree.wrong = made end
      if ok and made ~= name then tree.wrong = "its command makes generated/" .. made .. ": remove the folder" end
      list[#list + 1] = tree
    end
  end
  return list
end

-- An own tree made anew in memory, or nil and why that fails.
local function run_own(own)
  if own.wrong then return nil, own.wrong end
  local ok, result = pcall(function() return run_chain(options.parse_command(own.command)) end)
  if ok then return result end
  return nil, result
end

-- What git thinks of own.ninja is no matter where there is no git.
local function hide_from_git(hidden)
  os.execute(string.format("git update-index --%sskip-worktree %s >/dev/null 2>&1", hidden and "" or "no-", OWN_NINJA))
end

-- Lists the own trees in own.ninja -> the names that it listed before and no longer does.
local function write_own_ninja()
  local named, gone = {}, {}
  local listed = {}
  for _, tree in ipairs(own_trees()) do
    if not tree.wrong then listed[#listed + 1], named[tree.name] = tree, true end
  end
  local text, old = emit.own_ninja(listed), mode_of(OWN_NINJA) and read_file(OWN_NINJA) or ""
  if text == old then return gone end
  for _, name in ipairs(emit.names_of_own_ninja(old)) do
    if not named[name] then gone[#gone + 1] = name end
  end
  if #listed > 0 then hide_from_git(true) end
  disk.write_if_changed(OWN_NINJA, text)
  if #listed == 0 then hide_from_git(false) end
  return gone
end

local function say_deleted(gone)
  for _, name in ipairs(gone) do say("generated/%s: deleted: generated/own.ninja no longer lists it", name) end
end

-- ---- what main can do ----

local function generate(given)
  options.check(given)
  local tree = run_chain(given)
  if given.dump then
    io.write(dump.text(tree[given.dump]))
    return
  end
  disk.make_folder(given.out)
  local in_generated = disk.same_folder(given.out, GENERATED)
  local listed = in_generated and listed_options(given)
  if listed then tree = run_chain(listed) end
  disk.exclusively(given.out, function()
    write_tree(tree, given.out)
    if in_generated then
      write_own_ninja()
    else
      disk.write_if_changed(given.out .. "/trees.ninja", trees_ninja(given.out))
    end
  end)
end

local function regen()
  for _, given in ipairs(committed()) do write_tree(run_chain(given), GENERATED) end
  disk.write_if_changed(GENERATED .. "/trees.ninja", committed_trees_ninja())
  local lines = {}
  for _, own in ipairs(own_trees()) do
    local ok, message = pcall(function()
      local tree, why = run_own(own)
      write_tree(tree or fail("%s", why), GENERATED)
    end)
    if not ok then lines[#lines + 1] = string.format("generated/%s: cannot be renewed: %s", own.name, message) end
  end
  say_deleted(write_own_ninja())
  if #lines > 0 then fail("%s", table.concat(lines, "\n")) end
end

-- How an own tree differs from what its command makes now: a list of lines, empty if it is current.
local function own_differences(own)
  local tree, why = run_own(own)
  if not tree then return { string.format("generated/%s: cannot be checked: %s", own.name, why) } end
  return differences(tree)
end

-- One tree, committed or own: what building an own tree needs.
local function check_one(name)
  local _, listed = committed()
  if listed[name] then return differences(run_chain(listed[name])) end
  for _, own in ipairs(own_trees()) do
    if own.name == name then return own_differences(own) end
  end
  return { string.format("generated/%s: want a tree, got none", name) }
end

-- Own trees that are not current get a line each; only the committed ones must be current.
local function check_all()
  local lines = {}
  for _, given in ipairs(committed()) do
    for _, line in ipairs(differences(run_chain(given))) do lines[#lines + 1] = line end
  end
  local path = GENERATED .. "/trees.ninja"
  local current = mode_of(path) == "file" and read_file(path) == committed_trees_ninja()
  if not current then lines[#lines + 1] = path .. ": stale" end
  for _, own in ipairs(own_trees()) do
    local tree, why = run_own(own)
    if not tree then
      say("generated/%s: cannot be checked: %s", own.name, why)
    elseif #differences(tree) > 0 then
      say("generated/%s: stale: run ninja regen", own.name)
    end
  end
  say_deleted(write_own_ninja())
  return lines
end

local function check(given)
  local lines = given.name and check_one(given.name) or check_all()
  if given.depfile then write_depfile(given.depfile) end
  local what = given.name and "generated/" .. given.name or "generated/"
  if #lines > 0 then fail("%s\n%s is not current: run `ninja regen`", table.concat(lines, "\n"), what) end
end

local function list()
  for _, name in ipairs(options.TARGETS) do
    for _, precision in ipairs(options.PRECISIONS) do
      local record = load_target(name)[precision]
      if record then say("target %s, %s: %s", name, precision, record.summary) end
    end
  end
  for _, given in ipairs(committed()) do
    say("tree %s: %s", name_of(given), (config_path(given.config)))
  end
end

local function in_generated(action)
  return function(given) disk.exclusively(GENERATED, function() action(given) end) end
end

local ACTIONS = { regen = in_generated(regen), check = in_generated(check), list = list,
  help = function() io.write(options.HELP) end }

local done, failure = pcall(function()
  local given = options.parse(arg)
  return (ACTIONS[given.action] or generate)(given)
end)
if not done then
  io.stderr:write("gen/main.lua: ", tostring(failure), "\n")
  os.exit(1)
end
