-- Reads a config, runs the chain of stages, writes the files that changed. The only file of the
-- generator that touches the disk.

package.path = "./?.lua;" .. package.path

local lfs = require "lfs"
local config = require "gen.config"
local costs = require "gen.costs"
local dump = require "gen.dump"
local emit = require "gen.emit"
local model = require "gen.model"
local ops = require "gen.ops"
local plan = require "gen.plan"
local schedule = require "gen.schedule"
local select = require "gen.select"
local weights = require "gen.weights"

local TARGETS = { "gfx90a", "sm_90", "cpu" }
local STAGES = { "config", "model", "weights", "ops", "kernels", "limits", "plan", "steps", "costs", "files" }
-- Names of build.ninja's own, and of the file beside the trees.
local RESERVED = { bench = true, check = true, demo = true, figures = true, regen = true, test = true,
  ["trees.ninja"] = true }
local HELP = [[
usage: lua5.4 gen/main.lua --config DIR_OR_JSON --target TARGET [options]
       lua5.4 gen/main.lua --regen | --check [--depfile FILE] | --list | --help

Writes generated/NAME, the tree of one model on one target, and its line in generated/trees.ninja;
`ninja NAME` then builds build/NAME/getp. Run it from the root of the repository.

  --config PATH    a config.json, or the folder that holds one
  --target TARGET  gfx90a, sm_90 or cpu
  --precision P    mixed (default); on GPUs also fp32, the baseline
  --slots N        sequences that run at a time
  --context N      positions of a sequence, prompt and answer together
  --name NAME      of the tree; default: the config's name, then the target
  --out DIR        write below DIR instead of generated
  --dump STAGE     print one stage's value instead of writing:
                   config model weights ops kernels limits plan steps costs files
  --regen          make the trees of gen/trees.lua anew
  --check          say which of them are not current; exit 1 if any
  --depfile FILE   where --check notes, as a make rule, what it depends on
  --list           print the targets and the trees of gen/trees.lua
]]

-- A message for the user; everything above main() passes it on.
local function fail(format, ...) error({ message = string.format(format, ...) }, 0) end

-- ---- files ----

local was_read = {} -- every path that the generator looked at, for --depfile

local function read_file(path)
  was_read[path] = true
  local file, message = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  if not text then fail("%s: want a file that can be read (%s)", path, message or "it is none") end
  return text
end

local function make_folder(path)
  if lfs.attributes(path, "mode") == "directory" then return end
  local parent = path:match("^(.+)/[^/]+$")
  if parent then make_folder(parent) end
  local made, message = lfs.mkdir(path)
  if not made then fail("%s: cannot make the folder (%s)", path, message) end
end

local function write_if_changed(path, text)
  local old = io.open(path, "rb")
  local same = old and old:read("a") == text
  if old then old:close() end
  if same then return end
  local file, message = io.open(path, "wb")
  if not file or not file:write(text) or not file:close() then
    fail("%s: cannot write (%s)", path, message or "the disk may be full")
  end
end

-- Names in a folder, sorted; none if it is missing.
local function entries(folder, mode)
  local names = {}
  if lfs.attributes(folder, "mode") ~= "directory" then return names end
  was_read[folder] = true
  for name in lfs.dir(folder) do
    if not name:find("^%.%.?$") and lfs.attributes(folder .. "/" .. name, "mode") == mode then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function read_templates(target)
  local templates = {}
  for _, folder in ipairs { "templates", target.templates } do
    for _, name in ipairs(entries(folder, "file")) do
      templates[folder .. "/" .. name] = read_file(folder .. "/" .. name)
    end
  end
  return templates
end

-- ---- the chain ----

-- A folder stands for its config.json; the path that was read, and its last two names as a label.
local function config_path(path)
  path = path:gsub("(.)/+$", "%1")
  if lfs.attributes(path, "mode") == "directory" then path = path .. "/config.json" end
  return path, path:match("([^/]+/[^/]+)$") or path
end

-- A config.json has the name of its folder, another file its own.
local function default_name(path, options)
  local folder, file = path:match("^(.-)/?([^/]+)$")
  local stem = file:gsub("%.json$", "")
  if file == "config.json" then stem = folder:match("([^/]+)$") end
  if not stem or not stem:find("^[^.]") then fail("--config %s: give the tree a --name", options.config) end
  return stem .. "-" .. options.target .. (options.precision == "fp32" and "-fp32" or "")
end

local function check_name(name)
  if not name:find("^[%w_][%w._-]*$") then fail("--name %s: want letters, digits, '-', '_' and '.'", name) end
  if RESERVED[name] then fail("--name %s: want another, the build has this one", name) end
end

local function load_target(name)
  for _, known in ipairs(TARGETS) do
    if known == name then return require("gen.target." .. name) end
  end
  return fail("--target %s: want %s", name, table.concat(TARGETS, " or "))
end

local function load_precision(options)
  local precisions = load_target(options.target)
  if precisions[options.precision] then return precisions[options.precision] end
  local names = {}
  for name in pairs(precisions) do names[#names + 1] = name end
  table.sort(names)
  return fail("--precision %s: target %s has %s", options.precision, options.target, table.concat(names, " and "))
end

local function parse_config(path)
  local parsed, remarks = config.parse(read_file(path), path)
  if not parsed then fail("%s", table.concat(remarks, "\n")) end
  for _, warning in ipairs(remarks or {}) do io.stderr:write("gen/main.lua: warning: ", warning, "\n") end
  return parsed
end

-- options -> the values of all stages, each passed through its gate.
local function run_chain(options)
  local path, label = config_path(options.config)
  local tree = { name = options.name or default_name(path, options), config = label }
  check_name(tree.name)
  tree.target = load_precision(options)
  local parsed = parse_config(path)
  tree.model = model.describe(parsed)
  model.check(tree.model)
  tree.weights = weights.list(tree.model, tree.target)
  weights.check(tree.weights)
  tree.limits = plan.limits(tree.model, tree.target, options)
  local built = ops.build(tree.model, tree.target, tree.limits)
  ops.check(built, tree.weights)
  tree.kernels = select.kernels(built, tree.model, tree.weights, tree.target)
  select.check(tree.kernels, built, tree.model, tree.weights, tree.target)
  tree.plan = plan.arena(built, tree.kernels, tree.model, tree.limits, tree.target)
  plan.check(tree.plan, tree.weights, tree.target)
  tree.steps = schedule.steps(built, tree.model)
  schedule.check(tree.steps, tree.kernels, tree.plan)
  tree.costs = costs.list(built, tree.kernels, tree.model, tree.weights, tree.plan)
  local stages = { config = parsed, ops = built, files = emit.files(tree, read_templates(tree.target)) }
  return setmetatable(stages, { __index = tree })
end

-- ---- what main can do ----

-- The text of trees.ninja: a tree is a folder that holds a build.ninja.
local function trees_ninja(out)
  local names = {}
  for _, name in ipairs(entries(out, "directory")) do
    if lfs.attributes(out .. "/" .. name .. "/build.ninja") then names[#names + 1] = name end
  end
  return emit.trees_ninja(names)
end

local function write_trees_ninja(out) write_if_changed(out .. "/trees.ninja", trees_ninja(out)) end

-- The first entry of a folder that no run of the generator has made, or nil.
local function foreign(folder)
  local folders = entries(folder, "directory")
  if folders[1] then return folders[1] end
  for _, name in ipairs(entries(folder, "file")) do
    local first = read_file(folder .. "/" .. name):match("^[^\n]*")
    if not first:find(" Code generated by gen/main.lua ", 1, true) then return name end
  end
  return nil
end

-- Whatever is not made anew is removed, so the folder must be the tree's own.
local function write_tree(stages, out)
  local folder = out .. "/" .. stages.name
  local other = foreign(folder)
  if other then fail("%s/%s: not made by the generator: remove it, or give another --name", folder, other) end
  make_folder(folder)
  for name, text in pairs(stages.files) do write_if_changed(folder .. "/" .. name, text) end
  for _, name in ipairs(entries(folder, "file")) do
    if not stages.files[name] then os.remove(folder .. "/" .. name) end
  end
end

local function generate(options)
  local stages = run_chain(options)
  if options.dump then
    io.write(dump.text(stages[options.dump]))
    return
  end
  write_tree(stages, options.out)
  write_trees_ninja(options.out)
end

-- The options of one entry of gen/trees.lua.
local function committed(entry)
  return setmetatable({ out = "generated" }, { __index = function(_, key)
    if key == "precision" then return entry.precision or "mixed" end
    return entry[key]
  end })
end

local function regen()
  for _, entry in ipairs(require "gen.trees") do write_tree(run_chain(committed(entry)), "generated") end
  write_trees_ninja("generated")
end

-- What differs between a tree's files and its folder, as lines.
local function differences(stages, folder)
  local lines, names = {}, {}
  for name in pairs(stages.files) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    if lfs.attributes(path, "mode") ~= "file" then
      lines[#lines + 1] = path .. ": missing"
    elseif read_file(path) ~= stages.files[name] then
      lines[#lines + 1] = path .. ": stale"
    end
  end
  for _, name in ipairs(entries(folder, "file")) do
    if not stages.files[name] then lines[#lines + 1] = folder .. "/" .. name .. ": not made by the generator" end
  end
  for _, name in ipairs(entries(folder, "directory")) do
    lines[#lines + 1] = folder .. "/" .. name .. ": not made by the generator"
  end
  return lines
end

-- A make rule by which ninja learns when to check again: on any file read, and any module loaded.
local function write_depfile(path)
  for name in pairs(package.loaded) do
    if name:find("^gen%.") then was_read[name:gsub("%.", "/") .. ".lua"] = true end
  end
  local names = { "gen/main.lua" }
  for name in pairs(was_read) do names[#names + 1] = name end
  table.sort(names)
  write_if_changed(path, path:gsub("%.d$", "") .. ": " .. table.concat(names, " ") .. "\n")
end

-- Trees that gen/trees.lua does not list are the user's own: they are only expected in trees.ninja.
local function check(options)
  local lines = {}
  for _, entry in ipairs(require "gen.trees") do
    local stages = run_chain(committed(entry))
    for _, line in ipairs(differences(stages, "generated/" .. stages.name)) do lines[#lines + 1] = line end
  end
  local path = "generated/trees.ninja"
  if lfs.attributes(path, "mode") ~= "file" or read_file(path) ~= trees_ninja("generated") then
    lines[#lines + 1] = path .. ": stale"
  end
  if options.depfile then write_depfile(options.depfile) end
  if #lines > 0 then fail("%s\ngenerated/ is not current: run `ninja regen`", table.concat(lines, "\n")) end
end

local function list()
  for _, name in ipairs(TARGETS) do
    for _, precision in ipairs { "mixed", "fp32" } do
      local target = load_target(name)[precision]
      if target then io.write("target ", name, ", ", precision, ": ", target.summary, "\n") end
    end
  end
  for _, entry in ipairs(require "gen.trees") do
    local options = committed(entry)
    local path = config_path(options.config)
    io.write("tree ", options.name or default_name(path, options), ": ", path, "\n")
  end
end

-- ---- the command line ----

local VALUES = { ["--config"] = "text", ["--target"] = "text", ["--precision"] = "text", ["--slots"] = "integer",
  ["--context"] = "integer", ["--name"] = "text", ["--out"] = "text", ["--dump"] = "text",
  ["--depfile"] = "text" }
local ACTIONS = { ["--regen"] = regen, ["--check"] = check, ["--list"] = list,
  ["--help"] = function() io.write(HELP) end }

local function option_value(flag, text)
  if text == nil or text == "" then fail("%s: want a value behind it; see --help", flag) end
  if VALUES[flag] == "text" then return text end
  local number = text:find("^%d+$") and math.tointeger(tonumber(text))
  if not number or number < 1 then fail("%s: want a positive integer, got %q", flag, text) end
  return number
end

local function check_options(options)
  if not options.config then fail("want --config DIR_OR_JSON; see --help") end
  if not options.target then fail("want --target %s; see --help", table.concat(TARGETS, " or ")) end
  if not options.dump then return end
  for _, stage in ipairs(STAGES) do
    if stage == options.dump then return end
  end
  fail("--dump %s: want one of %s", options.dump, table.concat(STAGES, " "))
end

local function main(arguments)
  local options, action, i = { precision = "mixed", out = "generated" }, nil, 1
  while arguments[i] do
    local flag = arguments[i]
    if ACTIONS[flag] then
      action, i = ACTIONS[flag], i + 1
    elseif VALUES[flag] then
      options[flag:sub(3)] = option_value(flag, arguments[i + 1])
      i = i + 2
    else
      fail("%s: unknown; see --help", flag)
    end
  end
  if action then return action(options) end
  check_options(options)
  return generate(options)
end

local done, failure = pcall(main, arg)
if not done then
  local message = type(failure) == "table" and failure.message or failure
  io.stderr:write("gen/main.lua: ", message, "\n")
  os.exit(1)
end
