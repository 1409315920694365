-- diff_steps names the first wrong step: mistakes planted in kernels of gfx90a trees in the CPU harness are found by
-- role and layer, and trees without a mistake are not blamed.
-- luacheck: globals TestDiffSteps

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local mistake = require "tests.gpu.mistake"
local steps = require "tests.gpu.steps"
local support = require "tests.support"
local trees = require "tests.gpu.trees"

-- The mistakes, as tests/gpu/mistake.lua describes them, and the step and quantity that must be named; `last` if the
-- pass has only the last rows of the model's longest sequence, which fill two parts of the keys.
local MISTAKES <const> = {
  { name = "RoPE turns the wrong way", kernel = "matmul_qkv", text = "v.x * c[0] - v.y * s[0]",
    mutant = "v.x * c[0] + v.y * s[0]", model = "rand_mxfp4", want = "layer 00, matmul_qkv: q" },
  { name = "a row does not see itself, in the layer with full attention", kernel = "attn_full",
    text = "key <= last ?", mutant = "key < last ?", model = "rand_mxfp4", want = "layer 01, attn_full: attn" },
  { name = "parts are added whatever their bases", kernel = "attn_merge", text = "power_of_two(base[p].x - max)",
    mutant = "power_of_two(0 * max)", model = "rand_bf16", last = 20, want = "layer 00, attn_merge: attn" },
  { name = "one scale of weights for all, in a header", kernel = "moe_down", header = "target/mixed/matrix.h",
    text = "upper_bytes<SPAN>(scales[h])", mutant = "upper_bytes<0>(scales[h])", model = "rand_mxfp4",
    want = "layer 00, moe_down: down" },
  { name = "items begin a pair late", kernel = "moe_sort", text = "{t, first + i * height,",
    mutant = "{t, first + i * height + 1,", model = "rand_mxfp4", want = "layer 00, moe_sort: visits" },
}
local MODELS <const> = { "abacus", "rand_mxfp4", "rand_bf16" }

local machine = trees.machine("simt_64")
support.scratch = support.scratch .. "/test_diff_steps"

-- The programs of all trees: programs[model] = { tree, got, want }.
local function build_all()
  local list, programs = {}, {}
  for _, model in ipairs(MODELS) do
    list[#list + 1] = trees.describe(machine, model, "mixed")
    list[#list + 1] = trees.reference(machine, model)
  end
  trees.make(machine, list)
  for i, model in ipairs(MODELS) do
    local tree, reference = list[2 * i - 1], list[2 * i]
    programs[model] = { tree = tree, got = steps.build(machine, tree), want = steps.build(machine, reference) }
  end
  return programs
end

local PROGRAMS <const> = build_all()

-- Compares a pass with the reference -> the last line of the comparison. The pass has several sequences or, with
-- `last`, the last rows of the longest one. `got` is a program in place of the model's own.
local function verdict(model, last, got)
  local folder, of = "tests/models/" .. model, PROGRAMS[model]
  local ids = last and steps.write_longest(folder) or steps.write_ids(folder)
  local lines = steps.diff(steps.dump(got or of.got, folder, ids, last or 0),
    steps.dump(of.want, folder, ids, last or 0))
  return lines[#lines]
end

-- The program of a tree with a mistake.
local function plant(each)
  local tree = PROGRAMS[each.model].tree
  local count, file = mistake.copy(each, tree)
  lu.assertEquals(count, 1, "the text to replace in " .. file)
  local compile, put = mistake.commands(machine, tree, each)
  trees.must(compile)
  return steps.build(machine, tree, put)
end

TestDiffSteps = {}

function TestDiffSteps.test_no_step_of_right_kernels_is_named()
  for _, model in ipairs(MODELS) do
    lu.assertEquals(verdict(model), "no step differs", model)
    lu.assertEquals(verdict(model, 1), "no step differs", model .. ", a single row")
  end
end

function TestDiffSteps.test_planted_mistakes_are_named()
  for _, each in ipairs(MISTAKES) do
    local line = verdict(each.model, each.last, plant(each))
    lu.assertStrContains(line, "first wrong step: " .. each.want .. ": relative L2 ", false, each.name)
  end
end

-- ---- near ties, in dumps that are made up ----

-- A dump of two rows of two sequences and one of three experts per row; `chosen` has the experts.
local function made_up(form, chosen, router, x)
  local parts = { "tree made_up " .. form .. "\n" }
  local function add(role, quantity, rows)
    parts[#parts + 1] = string.format("0 %s %s %d %d\n", role, quantity, #rows, #rows[1])
    for _, row in ipairs(rows) do
      for _, value in ipairs(row) do parts[#parts + 1] = string.pack("<f", value) end
    end
  end
  add("matmul_router", "router", router)
  add("router_topk", "expert", chosen)
  add("moe_combine", "x", x)
  return steps.parse(table.concat(parts), { { sequence = 0, position = 4 }, { sequence = 0, position = 5 },
    { sequence = 1, position = 0 } })
end

local function last_line(form, router, chosen, x)
  local want = made_up(form, { { 1 }, { 0 }, { 0 } }, router, { { 1, 1 }, { 1, 1 }, { 1, 1 } })
  local lines = steps.diff(made_up(form, chosen, router, x), want)
  return lines[#lines]
end

local ROUTER <const> = { { 0.999, 1, -1 }, { 1, 0, 0 }, { 1, 0, 0 } }

function TestDiffSteps.test_rows_after_a_near_tie_are_left_out()
  local swapped = { { 0 }, { 0 }, { 0 } }
  lu.assertEquals(last_line("halves", ROUTER, swapped, { { 5, 5 }, { 5, 5 }, { 1, 1 } }), "no step differs")
  lu.assertEquals(last_line("halves", ROUTER, swapped, { { 5, 5 }, { 5, 5 }, { 1, 2 } }),
    "first wrong step: layer 00, moe_combine: x: relative L2 0.71, bound 0.02")
end

function TestDiffSteps.test_other_experts_are_a_difference()
  local x = { { 1, 1 }, { 1, 1 }, { 1, 1 } }
  local want = "first wrong step: layer 00, router_topk: expert: 1 of 3 rows have other experts"
  lu.assertEquals(last_line("halves", ROUTER, { { 1 }, { 2 }, { 0 } }, x), want)
  lu.assertEquals(last_line("halves", ROUTER, { { 1 }, { 0 }, { 7 } }, x), want)
  lu.assertEquals(last_line("floats", ROUTER, { { 0 }, { 0 }, { 0 } }, x), want)
end

function TestDiffSteps.test_nan_is_a_difference()
  lu.assertEquals(last_line("halves", ROUTER, { { 1 }, { 0 }, { 0 } }, { { 1, 1 }, { 0 / 0, 1 }, { 1, 1.5 } }),
    "first wrong step: layer 00, moe_combine: x: relative L2 NaN, bound 0.02")
end

function TestDiffSteps.test_a_pass_that_failed_is_named_with_its_last_step()
  local x, right = { { 1, 1 }, { 1, 1 }, { 1, 1 } }, { { 1 }, { 0 }, { 0 } }
  local got, want = made_up("halves", right, ROUTER, x), made_up("halves", right, ROUTER, x)
  got.failure = "simt: a race"
  local lines, first = steps.diff(got, want)
  lu.assertEquals(lines[#lines], "the pass failed after layer 00, moe_combine: simt: a race")
  lu.assertEquals(first.role, "moe_combine")
end

-- ---- the program ----

local function diff_steps(arguments) return support.run("lua5.4 tests/gpu/diff_steps.lua " .. arguments) end

function TestDiffSteps.test_the_program()
  local status, out, err = diff_steps "rand_bf16"
  lu.assertEquals({ status, err }, { 0, "" })
  lu.assertStrMatches(out, "layer rand_bf16%-gfx90a .*\n00    matmul_o +matmul_o +o +[%d.e-]+ +sequence %d, .*\n"
    .. "no step differs\n")
  status, out = diff_steps "rand_bf16 build/simt_64/rand_bf16-gfx90a build/simt_64/rand_bf16-cpu"
  lu.assertEquals({ status, out:match("[^\n]*\n$") }, { 0, "no step differs\n" })
  status, out, err = diff_steps "rand_bf16 --rows 3"
  lu.assertEquals({ status, out, err }, { 2, "", "diff_steps: --rows: want --ids FILE or --last N\n" })
end

os.exit(lu.LuaUnit.run())
