-- Do the harness and the tests of results see a mistake in a kernel? Puts one mistake after another into the
-- kernels of trees for gfx90a, each in a getp of its own in build/simt_64/mutants, and runs it in the CPU
-- harness: it must fail, or give logits that are not transformers', in one of the harness's orders, or, of
-- precision mixed, depend on the pass (same_bits). Prints TAP, one test a mutant. The trees without a mistake must
-- pass first. `lua5.4 tests/gpu/mutants.lua PRECISION NUMBER` is one of them, its tree built.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local mistake = require "tests.gpu.mistake"
local support = require "tests.support"
local trees = require "tests.gpu.trees"

-- The mistakes: { name; kernel, header, text, mutant: see tests/gpu/mistake.lua, the text is there once; model,
-- rand_mxfp4 unless it is given; longest = tokens of a sequence, LONGEST unless it is given }.
local MUTANTS <const> = { fp32 = require "tests.gpu.mutants_fp32", mixed = require "tests.gpu.mutants_mixed" }
local BOUND <const> = { fp32 = 1e-4, mixed = 1.5e-2 } -- relative L2 error of a position's logits
local MODEL <const> = "rand_mxfp4"
local LONGEST <const> = 50   -- tokens of a sequence; the window has 7
local HEAD <const> = 64      -- tokens of a sequence for same_bits
local ORDERS <const> = 2     -- SIMT_ORDER is 0 to this
local SECONDS <const> = 30   -- a mutant that runs for longer hangs, and is killed
local AT_A_TIME <const> = 2  -- mutants

local machine = trees.machine("simt_64")
local folder = machine.folder .. "/mutants"

local function report(good, what)
  print((good and "ok " or "not ok ") .. what:gsub("\n$", ""):gsub("\n", "\n# "))
  return good
end

-- ---- running ----

-- The sequences of a model that are short enough -> their file, their logits as transformers has them, the size of
-- the vocabulary, a file of their beginnings.
local function selection(model, longest)
  local path = "tests/models/" .. model
  local reference = assert(json.decode(support.read(path .. "/reference.json")))
  local vocab = assert(json.decode(support.read(path .. "/config.json"))).vocab_size
  local logits, chosen, heads, want, first = support.read(path .. "/logits.f32"), {}, {}, {}, 0
  for _, sequence in ipairs(reference.sequences) do
    if #sequence <= longest then
      chosen[#chosen + 1] = sequence
      heads[#heads + 1] = table.move(sequence, 1, math.min(HEAD, #sequence), 1, {})
      want[#want + 1] = logits:sub(4 * vocab * first + 1, 4 * vocab * (first + #sequence))
    end
    first = first + #sequence
  end
  return support.ids("ids", chosen), table.concat(want), vocab, support.ids("heads", heads)
end

-- What is wrong with the logits of a getp in one order, or nil.
local function wrong_logits(getp, tree, ids, want, vocab, order)
  local out = support.scratch .. "/logits.f32"
  local status, _, message = support.run(string.format(
    "SIMT_ORDER=%d timeout -s KILL %d %s tests/models/%s -m logits -i %s -o %s", order, SECONDS, getp, tree.model, ids,
    out))
  if status ~= 0 then return string.format("exit status %d in order %d: %s", status, order, message) end
  local worst = support.worst_error(support.read(out), want, vocab)
  if worst < BOUND[tree.precision] then return nil end
  return string.format("an error of %.2g in order %d", worst, order)
end

-- What is wrong with a getp and a same_bits, or nil.
local function fault(tree, getp, same_bits, longest)
  local ids, want, vocab, heads = selection(tree.model, longest)
  for order = 0, ORDERS do
    local found = wrong_logits(getp, tree, ids, want, vocab, order)
    if found then return found end
  end
  if tree.precision == "fp32" then return nil end
  local status, out, err = support.run(string.format("timeout -s KILL %d %s tests/models/%s %s 1000", 2 * SECONDS,
    same_bits, tree.model, heads))
  return status ~= 0 and ("same_bits: " .. (out:match("not ok [^\n]*") or err)) or nil
end

-- ---- one mutant ----

-- The command that builds a getp, and of precision mixed a same_bits, with the mistake.
local function build_command(mutant, tree)
  local getp = support.scratch .. "/getp"
  local compile, put = mistake.commands(machine, tree, mutant)
  local link = put(trees.command_of(trees.commands(machine, tree.name), tree.getp))
  link = trees.replace(link, "-o " .. tree.getp, "-o " .. getp)
  local same_bits = { getp = getp, same_bits = support.scratch .. "/same_bits" }
  return compile .. " && " .. link
    .. (tree.precision == "mixed" and " && " .. trees.link_same_bits(machine, link, same_bits) or "")
end

local function try(mutant, tree, number)
  support.scratch = string.format("%s/%s-%d", folder, tree.precision, number)
  local count, file = mistake.copy(mutant, tree)
  if count ~= 1 then
    return report(false, string.format("%s: want its text once in %s, found it %d times", mutant.name, file, count))
  end
  local status, out, err = support.run(build_command(mutant, tree))
  if status ~= 0 then
    return report(false, mutant.name .. ": does not compile: " .. ((out .. err):match("[^\n]*error:[^\n]*") or err))
  end
  local found = fault(tree, support.scratch .. "/getp", support.scratch .. "/same_bits", mutant.longest or LONGEST)
  return report(found ~= nil, mutant.name .. ": " .. (found and "caught by " .. found or "survived"))
end

-- ---- all of them ----

-- The trees that mutants are made of, each once.
local function list_trees()
  local list, known = {}, {}
  for _, precision in ipairs { "fp32", "mixed" } do
    for _, mutant in ipairs(MUTANTS[precision]) do
      local tree = trees.describe(machine, mutant.model or MODEL, precision)
      if not known[tree.name] then list[#list + 1] = tree end
      known[tree.name] = true
    end
  end
  return list
end

local function passes(tree)
  support.scratch = folder .. "/" .. tree.name
  local found = fault(tree, tree.getp, tree.same_bits, LONGEST)
  return report(found == nil, tree.name .. " without a mistake: " .. (found or "passes"))
end

-- A command for each mutant, its output in a file of its own.
local function list_commands()
  local commands, outputs = {}, {}
  for _, precision in ipairs { "fp32", "mixed" } do
    for i in ipairs(MUTANTS[precision]) do
      local output = string.format("%s/%s-%d.tap", folder, precision, i)
      outputs[#outputs + 1] = output
      commands[#commands + 1] = string.format("lua5.4 tests/gpu/mutants.lua %s %d >%s 2>&1", precision, i, output)
    end
  end
  return commands, outputs
end

local function run_all()
  local list = list_trees()
  trees.build(machine, list)
  local good = true
  for _, tree in ipairs(list) do good = passes(tree) and good end
  if not good then return false end
  support.scratch = folder
  local commands, outputs = list_commands()
  good = trees.run_all(commands, AT_A_TIME)
  for _, path in ipairs(outputs) do io.write(support.read(path)) end
  return good
end

local function run_one(precision, number)
  local mutant = MUTANTS[precision][number]
  return try(mutant, trees.describe(machine, mutant.model or MODEL, precision), number)
end

os.exit(arg[1] and run_one(arg[1], tonumber(arg[2])) or not arg[1] and run_all())
