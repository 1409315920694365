-- The model tests on a GPU: `ninja test-gpu`, or `lua5.4 tests/gpu/run.lua MACHINE [PRECISION] [MODEL...]`.
-- Builds the trees of each reference model, fp32 and mixed unless one of them is named, runs them on the
-- device that the runtime offers, and compares with transformers' logits. Without a device it says so and
-- exits 0. The machines simt_64 and simt_32 are the CPU harness of tests/simt, which needs no device.
--
-- GPU_POSITIONS=N takes only sequences of up to N tokens: an emulator is slow.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lfs = require "lfs"
local support = require "tests.support"

local BOUND = { fp32 = 1e-4, mixed = 1.5e-2 } -- relative L2 error of a position's logits
local PROMPTS = { { "47 + 85 =", "132" }, { "What is 12 times 9?", "108" }, { "Sort 73 9 41 9 60.", "9 9 41 60 73" },
  { "What is the capital of Mongolia?", "Ulan Bator" }, { "Reverse q w e r t y.", "y t r e w q" } }

-- `first`: what the link needs and ninja does not know of.
local MACHINES = {
  gfx90a = { target = "gfx90a", folder = "build/gpu", ninja = "tests/gpu.ninja" },
  sm_90 = { target = "sm_90", folder = "build/gpu", ninja = "tests/gpu.ninja" },
  simt_64 = { target = "gfx90a", folder = "build/simt_64", ninja = "tests/simt_64.ninja",
    first = "build/simt_64/simt_64/libsimt.a" },
  simt_32 = { target = "sm_90", folder = "build/simt_32", ninja = "tests/simt_32.ninja",
    first = "build/simt_32/simt_32/libsimt.a" },
}

local machine = MACHINES[arg[1] or "gfx90a"] or error("want gfx90a, sm_90, simt_64 or simt_32", 0)
local most = tonumber(os.getenv("GPU_POSITIONS") or math.maxinteger)
local passed, failed = 0, 0

local function report(good, what)
  passed, failed = passed + (good and 1 or 0), failed + (good and 0 or 1)
  print((good and "ok " or "not ok ") .. what)
end

local function must(command)
  local status, out, err = support.run(command)
  if status ~= 0 then
    io.stderr:write(out, err, "\n", command, ": exit status ", status, "\n")
    os.exit(1)
  end
  return out
end

local function precisions()
  if BOUND[arg[2]] then return { table.remove(arg, 2) } end
  return { "fp32", "mixed" }
end

local function models()
  local names = table.move(arg, 2, #arg, 1, {})
  if #names > 0 then return names end
  for name in lfs.dir("tests/models") do
    if not name:find("^%.") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- The trees under test: list of { model, precision, name, getp (the program) }.
local function list_trees()
  local trees = {}
  local wanted = precisions()
  for _, model in ipairs(models()) do
    for _, precision in ipairs(wanted) do
      local name = model .. "-" .. machine.target .. (precision == "fp32" and "-fp32" or "")
      trees[#trees + 1] = { model = model, precision = precision, name = name,
        getp = machine.folder .. "/" .. name .. "/getp" }
    end
  end
  return trees
end

local function build(trees)
  local goals = {}
  for i, tree in ipairs(trees) do
    must(string.format("lua5.4 gen/main.lua --config tests/models/%s --target %s --precision %s --name %s --out %s",
      tree.model, machine.target, tree.precision, tree.name, machine.folder .. "/trees"))
    goals[i] = tree.name
  end
  if machine.first then must("ninja -f " .. machine.ninja .. " " .. machine.first) end
  must("ninja -f " .. machine.ninja .. " " .. table.concat(goals, " "))
end

-- The sequences of a model that are short enough, and their logits as transformers has them.
local function selection(name)
  local folder = "tests/models/" .. name
  local reference = assert(json.decode(support.read(folder .. "/reference.json")))
  local vocab = assert(json.decode(support.read(folder .. "/config.json"))).vocab_size
  local logits, chosen, want, first = support.read(folder .. "/logits.f32"), {}, {}, 0
  for _, sequence in ipairs(reference.sequences) do
    if #sequence <= most then
      chosen[#chosen + 1] = sequence
      want[#want + 1] = logits:sub(4 * vocab * first + 1, 4 * vocab * (first + #sequence))
    end
    first = first + #sequence
  end
  return chosen, table.concat(want), vocab
end

local function check_logits(tree)
  local sequences, want, vocab = selection(tree.model)
  local ids = support.ids(tree.name .. ".ids", sequences)
  local out = support.scratch .. "/" .. tree.name .. ".f32"
  local command = string.format("%s tests/models/%s -m logits -i %s -o %s", tree.getp, tree.model, ids, out)
  must(command)
  local whole = support.read(out)
  local worst = support.worst_error(whole, want, vocab)
  report(worst < BOUND[tree.precision],
    string.format("%s: logits of %d sequences, worst error %.2g", tree.name, #sequences, worst))
  must(command .. " -b 1 --chunk 5")
  report(support.read(out) == whole, tree.name .. ": the same bits one by one, in chunks of 5")
end

local function answers(tree, flags)
  local questions = {}
  for i, prompt in ipairs(PROMPTS) do questions[i] = prompt[1] end
  local prompts = support.prompts(tree.name .. ".prompts", questions)
  local out = support.scratch .. "/" .. tree.name .. ".out"
  must(string.format("%s tests/models/abacus -m getp -i %s -o %s -n 64 %s", tree.getp, prompts, out, flags))
  return out
end

local function check_answers(tree)
  local out = answers(tree, "")
  local ids, text = support.read(out), must(tree.getp .. " decode -z tests/models/abacus/tokenizer.json -i " .. out)
  for i, line in ipairs(support.lines(text)) do
    local answer = line:gsub("<|return|>$", ""):gsub("^ ", "")
    report(answer == PROMPTS[i][2], string.format("%s: %s -> %s", tree.name, PROMPTS[i][1], answer))
  end
  report(support.read(answers(tree, "-b 1 --chunk 3")) == ids, tree.name .. ": the same answers one by one")
end

-- False, with a line that says so, if the runtime offers no device.
local function has_device(tree)
  local ids = support.ids("gpu.probe", { { 1 } })
  local status, _, message = support.run(string.format("%s tests/models/%s -m logits -i %s -o %s", tree.getp,
    tree.model, ids, support.scratch .. "/gpu.probe.f32"))
  if status == 0 or not message:find("no GPU", 1, true) then return true end
  print("ok 1 # SKIP " .. message:gsub("\n.*", ""))
  return false
end

local trees = list_trees()
build(trees)
if not has_device(trees[1]) then os.exit(0) end
for _, tree in ipairs(trees) do
  check_logits(tree)
  if tree.model == "abacus" then check_answers(tree) end
end
os.exit(failed == 0)
