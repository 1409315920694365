-- A mistake in one kernel of a tree: the kernel is copied with it, compiled, and linked in the place of the right one.

local support = require "tests.support"
local trees = require "tests.gpu.trees"

local mistake = {}

-- The folder of a mistake, below the scratch folder. It is made anew for each: a header with the mistake before must
-- not be found.
local FOLDER <const> = "mistake"
local function folder() return support.scratch .. "/" .. FOLDER end

-- Copies the kernel into the folder, with the mistake in it or in one of its headers. `mutant` has the
-- fields kernel (a role), header (a path from runtime/, or "kv.h" of the tree; nil: the text is in the kernel), text
-- (what to replace) and mutant (with what). Returns how often the text was found, and in which file.
function mistake.copy(mutant, tree)
  local kernel = mutant.kernel .. ".hip"
  local changed = mutant.header or kernel
  local texts = { [kernel] = tree.sources .. "/" .. kernel, ["kernels.h"] = tree.sources .. "/kernels.h",
    ["kv.h"] = tree.sources .. "/kv.h" } -- kernels.h includes the kv.h beside it
  texts[changed] = texts[changed] or "runtime/" .. changed
  local count
  trees.must(string.format("rm -rf %s && mkdir -p %s/%s", folder(), folder(), changed:match("^(.*)/") or ""))
  for name, path in pairs(texts) do
    local text = support.read(path)
    if name == changed then text, count = trees.replace(text, mutant.text, mutant.mutant) end
    support.write(FOLDER .. "/" .. name, text)
  end
  return count, changed
end

-- The command that compiles the copy, and a function that puts its object into a command that links the tree. The
-- copy finds its headers in its folder first, then in its tree.
function mistake.commands(machine, tree, mutant)
  local object = machine.folder .. "/" .. tree.name .. "/" .. mutant.kernel .. ".o"
  local mine = folder() .. "/" .. mutant.kernel .. ".o"
  local compile = trees.command_of(trees.commands(machine, tree.name), object)
  compile = trees.replace(compile, object, mine)
  compile = trees.replace(compile, " -Werror", "") -- what is no longer used is a warning
  compile = trees.replace(compile, "-c " .. tree.sources .. "/", string.format("-iquote %s -iquote %s -c %s/",
    folder(), tree.sources, folder()))
  return compile, function(link) return (trees.replace(link, object, mine)) end
end

return mistake
