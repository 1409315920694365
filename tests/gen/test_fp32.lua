-- gen/precision/fp32.lua with templates/fp32, as gfx90a and sm_90 use them: how the baseline keeps the weights,
-- its kernels, that every model generates, and what a reviewer sees when a config or the target changes.
-- luacheck: globals TestWeights TestKernels TestMemory TestTrees TestReview
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local emit = require "gen.emit"
local gfx90a = require("gen.target.gfx90a").fp32
local lu = require "luaunit"
local sm_90 = require("gen.target.sm_90").fp32

local lines_of, sorted_names = chain.lines_of, chain.sorted_names
local TARGETS <const> = { chain.roomy(gfx90a), chain.roomy(sm_90) }
local ABACUS <const> = "tests/models/abacus/config.json"

local function run(path, change, target)
  return chain.run(path, change, { target = target or TARGETS[1] })
end

local function each(f) chain.each(TARGETS, f) end

TestWeights = {}

local STORED <const> = { U8 = "BF16", bfloat16 = "BF16", float16 = "F32", float32 = "F32" }

-- { source, how the MoE matrices are stored } by the config's own words.
local function expected_experts(path)
  local text = chain.read(path)
  if text:find('"quant_method": "mxfp4"', 1, true) then return { "MXFP4", "BF16" } end
  return { "TRANSPOSED", STORED[text:match('dtype": "(%w+)"')] }
end

local function is_expert_matrix(tensor) return tensor.name:find("%.experts%.%l+_?%l*_proj$") ~= nil end

function TestWeights.test_sources_and_types()
  local seen = {}
  each(function(stages, path)
    local want = expected_experts(path)
    seen[table.concat(want, " ")] = true
    for _, tensor in ipairs(stages.weights.tensors) do
      lu.assertEquals({ tensor.source, tensor.stored }, is_expert_matrix(tensor) and want or { "PLAIN", "F32" },
        path .. ": " .. tensor.symbol)
      lu.assertEquals(tensor.layout, "ROWS", path .. ": " .. tensor.symbol)
    end
  end)
  lu.assertEquals(seen, { ["MXFP4 BF16"] = true, ["TRANSPOSED BF16"] = true, ["TRANSPOSED F32"] = true })
end

-- The cpu's tensors are the checkpoint's own: test_weights.lua holds them against published inventories and
-- against the headers of files that transformers has written.
function TestWeights.test_sources_are_the_checkpoint()
  each(function(stages, path)
    lu.assertEquals(chain.in_checkpoint(stages.weights), chain.in_checkpoint(chain.run(path).weights), path)
  end)
end

-- The experts lie output by input, whichever way they come.
function TestWeights.test_shapes_of_experts()
  for path, e in pairs { [chain.GPT_OSS_20B] = 32, [chain.GPT_OSS_120B] = 128 } do
    local of = run(path).weights.of
    lu.assertEquals({ of.W_07_GATE_UP.shape, of.W_07_DOWN.shape }, { { e, 5760, 2880 }, { e, 2880, 2880 } })
  end
  local of = run("tests/models/rand_bf16/config.json").weights.of
  lu.assertEquals({ of.W_01_GATE_UP.shape, of.W_01_DOWN.shape }, { { 4, 448, 160 }, { 4, 160, 224 } })
end

-- Two bytes for each published parameter of the expert matrices, four for each other one: 42.3 GiB and
-- 221.6 GiB. All sizes of gpt-oss fill cache lines, so nothing is lost between tensors.
function TestWeights.test_bytes_of_gpt_oss()
  for _, target in ipairs(TARGETS) do
    local small, large = run(chain.GPT_OSS_20B, nil, target).weights, run(chain.GPT_OSS_120B, nil, target).weights
    lu.assertEquals({ small.mapped_bytes, small.packed_bytes }, { 0, 2 * 19110297600 + 4 * 1804459584 })
    lu.assertEquals({ large.mapped_bytes, large.packed_bytes }, { 0, 2 * 114661785600 + 4 * 2167371072 })
    lu.assertEquals(string.format("%.1f", small.packed_bytes / 2^30), "42.3")
    lu.assertEquals({ #small.tensors, #large.tensors }, { 459 - 24 * 2, 687 - 36 * 2 })
  end
end

-- Nothing is read in place.
function TestWeights.test_offsets() each(chain.assert_offsets) end

TestKernels = {}

local function symbols(stages) return chain.symbols(stages, "f32_") end

local GPT_OSS_20B <const> = {
  embed = "f32w_embed_k2880",
  norm_attn = "rmsnorm_k2880",
  matmul_qkv = "f32w_matmul_n5120_k2880",
  rope_append = "rope_append_h64_g8_d64",
  attn_sliding = "attn_sliding_h64_g8_d64_w128",
  attn_full = "attn_full_h64_g8_d64",
  matmul_o = "f32w_matmul_residual_n2880_k4096",
  norm_mlp = "rmsnorm_k2880",
  matmul_router = "f32w_matmul_n32_k2880",
  router_topk = "router_topk_e32_top4",
  moe_gate_up = "bf16w_moe_gate_up_swiglu_n5760_k2880_e32_top4",
  moe_down = "bf16w_moe_down_n2880_k2880_e32_top4",
  moe_combine = "moe_combine_n2880_top4",
  norm_final = "rmsnorm_gather_k2880",
  matmul_unembed = "f32w_matmul_n201088_k2880",
}

function TestKernels.test_symbols_of_gpt_oss()
  local large = {}
  for role, symbol in pairs(GPT_OSS_20B) do large[role] = symbol:gsub("_e32_", "_e128_"):gsub("_n32_", "_n128_") end
  for _, target in ipairs(TARGETS) do
    lu.assertEquals(symbols(run(chain.GPT_OSS_20B, nil, target)), GPT_OSS_20B)
    lu.assertEquals(symbols(run(chain.GPT_OSS_120B, nil, target)), large)
  end
end

function TestKernels.test_symbols_of_plain_experts()
  local bf16 = symbols(run("tests/models/rand_bf16/config.json"))
  lu.assertEquals({ bf16.moe_gate_up, bf16.moe_down },
    { "bf16w_moe_gate_up_swiglu_n448_k160_e4_top1", "bf16w_moe_down_n160_k224_e4_top1" })
  lu.assertEquals(symbols(run("tests/models/odd_f32/config.json")).moe_down, "f32w_moe_down_n32_k64_e3_top2")
  lu.assertStrMatches(symbols(run("tests/models/odd_f16/config.json")).moe_gate_up, "f32w_moe_gate_up_.*")
end

-- Each row goes through its own experts: nothing is sorted, and no buffer is kept for it.
function TestKernels.test_no_sorting()
  each(function(stages, path)
    for _, op in ipairs(stages.ops.list) do lu.assertNotEquals(op.role, "moe_sort", path) end
    for _, buffer in ipairs(stages.plan.buffers) do
      lu.assertFalse(buffer.name == "BUF_PAIR" or buffer.name == "BUF_EXPERT_START", path)
    end
  end)
  lu.assertEquals(run(ABACUS).kernels.of.moe_gate_up.prototype, "void launch_moe_gate_up(const struct pass *pass, "
    .. "size_t in, size_t out, size_t expert, enum weight values,\n    enum weight bias)")
end

function TestKernels.test_files_and_templates()
  each(function(stages, path)
    for _, kernel in ipairs(stages.kernels.list) do
      lu.assertEquals(kernel.file, kernel.role .. ".hip", path)
      lu.assertStrMatches(kernel.template, "templates/fp32/[%l_]+%.hip%.in")
      lu.assertEquals(kernel.workspace, 0)
    end
  end)
end

-- A pass meets every weight byte once, and its products cost what they cost the cpu, whose flops
-- test_select.lua holds against published parameter counts.
function TestKernels.test_cost()
  each(function(stages, path)
    local steps, other = 0, chain.run(path).kernels.of
    for _, op in ipairs(stages.ops.list) do steps = steps + stages.kernels.of[op.role].weight_bytes end
    local tensors = 0
    for _, tensor in ipairs(stages.weights.tensors) do tensors = tensors + tensor.bytes end
    lu.assertEquals(steps, tensors, path)
    for _, kernel in ipairs(stages.kernels.list) do
      if kernel.role ~= "router_topk" then lu.assertEquals(kernel.flops, other[kernel.role].flops, path) end
    end
  end)
end

TestMemory = {}

-- gpt-oss-120b takes 221.6 GiB of weights alone; gpt-oss-20b fits both at the default limits.
function TestMemory.test_what_fits()
  for target, memory in pairs { [gfx90a] = "68,698,000,000", [sm_90] = "150,754,820,096" } do
    lu.assertEquals(run(chain.GPT_OSS_20B, nil, target).limits.context, 4096)
    lu.assertErrorMsgContains(memory, run, chain.GPT_OSS_120B, nil, target)
  end
end

-- What arena.h says of the machine: an H200 and one GCD of an MI250.
function TestMemory.test_facts()
  for target, facts in pairs { [gfx90a] = { 68698000000, 1638000000000, 181000000000000 },
    [sm_90] = { 150754820096, 4800000000000, 989000000000000 } } do
    lu.assertStrContains(chain.files(run(ABACUS, nil, target))["arena.h"], string.format(
      "\n#define DEVICE_BYTES ((size_t)%d)\n\n// What the device does in a second at the most; 0: not known.\n"
      .. "#define DEVICE_BYTES_A_SECOND ((double)%d)\n#define DEVICE_FLOPS ((double)%d)\n", table.unpack(facts)))
  end
end

TestTrees = {}

function TestTrees.test_names_and_first_lines()
  each(function(stages, path)
    local files, want, got = chain.files(stages), {}, {}
    for i, kernel in ipairs(stages.kernels.list) do
      want[i] = kernel.file
      lu.assertEquals(lines_of(files[kernel.file])[1], string.format(
        "// Code generated by gen/main.lua from %s, %s, %s. DO NOT EDIT.", kernel.template, path, stages.target.name))
    end
    for _, name in ipairs(sorted_names(files)) do
      if not name:find("%.h$") and not name:find("%.inc$") then got[#got + 1] = name end
    end
    want[#want + 1], want[#want + 2] = "build.ninja", "summary.txt"
    table.sort(want)
    lu.assertEquals(got, want, path)
  end)
end

function TestTrees.test_lines_are_clean()
  each(function(stages, path)
    local files = chain.files(stages)
    for _, name in ipairs(sorted_names(files)) do
      local text, place = files[name], path .. ": " .. name
      lu.assertEquals(text:sub(-1), "\n", place)
      for _, bad in ipairs { "[\t\r]", " \n", "\n\n\n", "[^\n ]  +" } do lu.assertNil(text:find(bad), place) end
    end
  end)
end

-- The numbers of a kernel's body: outside constants, comments, includes and names.
local function numbers(text)
  local found = {}
  for i, line in ipairs(lines_of(text)) do
    local constant = line:find("^constexpr int ") or line:find("^static const float ")
    if i > 1 and not constant and not line:find("^#include") then
      for number in line:gsub("//.*", ""):gmatch("%f[%w_.]%d[%w.]*") do found[number] = line end
    end
  end
  return found
end

-- Sizes stand in the constants and symbols, however small they are; what is left are the halves, the
-- zeros and the ones of a formula.
function TestTrees.test_bodies_have_no_literal_dimension()
  local allowed = { ["0"] = true, ["1"] = true, ["2"] = true, ["1.0f"] = true }
  each(function(stages, path)
    local files = chain.files(stages)
    for _, kernel in ipairs(stages.kernels.list) do
      for number, line in pairs(numbers(files[kernel.file])) do
        lu.assertTrue(allowed[number], path .. ": " .. kernel.file .. ": " .. line)
      end
    end
  end)
end

-- The symbol at its definition and in a launch; the launcher as kernels.h has it.
function TestTrees.test_symbols_and_prototypes()
  each(function(stages)
    local files = chain.files(stages)
    for _, kernel in ipairs(stages.kernels.list) do
      local text = files[kernel.file]
      lu.assertStrContains(text, "\nstatic __global__ void __launch_bounds__(BLOCK) " .. kernel.symbol .. "(")
      lu.assertStrContains(text, "  LAUNCH(pass, " .. kernel.symbol .. ", ")
      lu.assertStrContains(text, "\n" .. kernel.prototype .. " {\n")
      lu.assertStrContains(files["kernels.h"], "\n" .. kernel.prototype .. ";\n")
    end
  end)
end

function TestTrees.test_weights()
  local lines = {}
  for _, line in ipairs(lines_of(chain.files(run(chain.GPT_OSS_20B))["weights.inc"])) do
    if line:find("^WEIGHT%(W_00_[MGR]") then lines[#lines + 1] = line:gsub("(F%d+, ROWS), %d+,", "%1, AT,") end
  end
  local mlp = '"model.layers.0.mlp.'
  lu.assertEquals(lines, {
    'WEIGHT(W_00_MLP_NORM, "model.layers.0.post_attention_layernorm.weight", PLAIN, F32, ROWS, AT, 2880)',
    'WEIGHT(W_00_ROUTER, ' .. mlp .. 'router.weight", PLAIN, F32, ROWS, AT, 32, 2880)',
    'WEIGHT(W_00_ROUTER_BIAS, ' .. mlp .. 'router.bias", PLAIN, F32, ROWS, AT, 32)',
    'WEIGHT(W_00_GATE_UP, ' .. mlp .. 'experts.gate_up_proj", MXFP4, BF16, ROWS, AT, 32, 5760, 2880)',
    'WEIGHT(W_00_GATE_UP_BIAS, ' .. mlp .. 'experts.gate_up_proj_bias", PLAIN, F32, ROWS, AT, 32, 5760)',
  })
end

function TestTrees.test_an_undefined_name()
  local path = "templates/fp32/embed.hip.in"
  local templates = chain.templates(gfx90a)
  templates[path] = templates[path]:gsub("${hidden}", "${hiden}")
  local ok, got = pcall(emit.files, run(ABACUS), templates)
  lu.assertEquals({ ok, got }, { false, path .. ":6: undefined template variable 'hiden'" })
end

TestReview = {}

-- With the same memory and speed, the two GPUs' trees are one text but for the target's name.
function TestReview.test_targets_differ_in_their_name()
  local twin = setmetatable({ flops = gfx90a.flops, bytes_a_second = gfx90a.bytes_a_second }, { __index = TARGETS[2] })
  for _, path in ipairs(chain.configs()) do
    local one, other = chain.files(run(path, nil, TARGETS[1])), chain.files(run(path, nil, twin))
    lu.assertEquals(sorted_names(one), sorted_names(other), path)
    for name, text in pairs(one) do
      lu.assertTrue(other[name]:gsub("sm_90", "gfx90a") == text, path .. ": " .. name)
    end
  end
end

-- { [file] = number of changed lines } of the files that differ, how many they are, and how many lines in
-- all; no file may grow or shrink.
local function changed(from, to)
  local differ, files, lines = {}, 0, 0
  lu.assertEquals(sorted_names(from), sorted_names(to))
  for name, text in pairs(from) do
    local old, new, n = lines_of(text), lines_of(to[name]), 0
    lu.assertEquals(#new, #old, name)
    for i, line in ipairs(old) do
      if line ~= new[i] then n = n + 1 end
    end
    if n > 0 then differ[name], files, lines = n, files + 1, lines + n end
  end
  return differ, files, lines
end

local function gpt_oss(change) return chain.files(run(chain.GPT_OSS_20B, change)) end

function TestReview.test_sliding_window()
  local differ, files, lines = changed(gpt_oss(), gpt_oss(function(c) c.sliding_window = 256 end))
  lu.assertTrue(files >= 2 and files <= 4, files .. " files")
  lu.assertTrue(lines < 10, lines .. " lines")
  lu.assertEquals({ differ["attn_sliding.hip"], differ["model.h"] }, { 3, 1 })
  lu.assertEquals({ differ["schedule.inc"], differ["weights.inc"], differ["kernels.h"] }, {})
end

function TestReview.test_experts()
  local differ = changed(gpt_oss(), gpt_oss(function(c) c.num_local_experts = 128 end))
  lu.assertEquals(differ["model.h"], 1)
  for _, name in ipairs { "schedule.inc", "kv.h", "kernels.h", "build.ninja", "attn_full.hip", "moe_combine.hip" } do
    lu.assertNil(differ[name], name)
  end
end

-- The lines that a text adds to another one, all of whose lines it keeps in their order.
local function inserted(from, to)
  local old, at, added = lines_of(from), 1, {}
  for _, line in ipairs(lines_of(to)) do
    if line == old[at] then at = at + 1 else added[#added + 1] = line end
  end
  lu.assertEquals(old[at], nil)
  return added
end

function TestReview.test_layers()
  local short, long = gpt_oss(), gpt_oss(function(c)
    c.num_hidden_layers = 36
    for i = 25, 36 do c.layer_types[i] = c.layer_types[i - 24] end
  end)
  -- twelve paragraphs of a blank line, a title and 11 steps; twelve times 17 tensors
  lu.assertEquals(#inserted(short["schedule.inc"], long["schedule.inc"]), 12 * 13)
  lu.assertEquals(#inserted(short["weights.inc"], long["weights.inc"]), 12 * 17)
  for name, text in pairs(short) do
    if name:find("%.hip$") or name == "kernels.h" or name == "build.ninja" then lu.assertEquals(long[name], text) end
  end
end

os.exit(lu.LuaUnit.run())
