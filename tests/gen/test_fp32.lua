-- Tests gen/precision/fp32.lua and templates/fp32 as gfx90a and sm_90 use them: the stored weights of the baseline, its
-- kernels, the trees of every model, and the diff that a reviewer sees when a config or the target changes.
-- luacheck: globals TestWeights TestKernels TestMemory TestTrees TestReview
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
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

-- { form, stored dtype of the MoE matrices } by the words of the config.
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
      lu.assertEquals({ tensor.form, tensor.stored }, is_expert_matrix(tensor) and want or { "PLAIN", "F32" },
        path .. ": " .. tensor.symbol)
      lu.assertEquals(tensor.layout, "CONTIGUOUS", path .. ": " .. tensor.symbol)
    end
  end)
  lu.assertEquals(seen, { ["MXFP4 BF16"] = true, ["TRANSPOSED BF16"] = true, ["TRANSPOSED F32"] = true })
end

-- The tensors of the cpu tree are those of the checkpoint: test_weights.lua compares them with published inventories
-- and with the headers of files that transformers wrote.
function TestWeights.test_sources_are_the_checkpoint()
  each(function(stages, path)
    lu.assertEquals(chain.in_checkpoint(stages.weights), chain.in_checkpoint(chain.run(path).weights), path)
  end)
end

-- The experts' matrices are stored (features, K) whatever their order in the checkpoint.
function TestWeights.test_shapes_of_experts()
  for path, e in pairs { [chain.GPT_OSS_20B] = 32, [chain.GPT_OSS_120B] = 128 } do
    local of = run(path).weights.of
    lu.assertEquals({ of.W_07_GATE_UP.shape, of.W_07_DOWN.shape }, { { e, 5760, 2880 }, { e, 2880, 2880 } })
  end
  local of = run("tests/models/rand_bf16/config.json").weights.of
  lu.assertEquals({ of.W_01_GATE_UP.shape, of.W_01_DOWN.shape }, { { 4, 448, 160 }, { 4, 160, 224 } })
end

-- Two bytes per published parameter of the expert matrices and four per other one make 42.3 GiB and 221.6 GiB. All
-- sizes of gpt-oss fill cache lines, so there is no padding between tensors.
function TestWeights.test_bytes_of_gpt_oss()
  for _, target in ipairs(TARGETS) do
    local small, large = run(chain.GPT_OSS_20B, nil, target).weights, run(chain.GPT_OSS_120B, nil, target).weights
    lu.assertEquals({ small.mapped_bytes, small.packed_bytes }, { 0, 2 * 19110297600 + 4 * 1804459584 })
    lu.assertEquals({ large.mapped_bytes, large.packed_bytes }, { 0, 2 * 114661785600 + 4 * 2167371072 })
    lu.assertEquals(string.format("%.1f", small.packed_bytes / 2^30), "42.3")
    lu.assertEquals({ #small.tensors, #large.tensors }, { 459 - 24 * 2, 687 - 36 * 2 })
  end
end

-- No tensor is read where it lies in the checkpoint.
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

-- Each pair of a row and an expert has its own threads, so nothing is sorted and no buffer is needed for that.
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
    end
  end)
end

-- A pass reads every weight byte once, and its products have the flops of the cpu tree, which test_select.lua compares
-- with published parameter counts.
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

-- gpt-oss-120b needs 221.6 GiB for its weights alone; gpt-oss-20b fits both GPUs at the default limits.
function TestMemory.test_what_fits()
  for target, memory in pairs { [gfx90a] = "68,698,000,000", [sm_90] = "150,754,820,096" } do
    lu.assertEquals(run(chain.GPT_OSS_20B, nil, target).limits.context, 4096)
    lu.assertErrorMsgContains(memory, run, chain.GPT_OSS_120B, nil, target)
  end
end

-- arena.h has the facts of the machine: an H200 and one GCD of an MI250.
function TestMemory.test_facts()
  for target, facts in pairs { [gfx90a] = { 68698000000, 1638000000000, 181000000000000 },
    [sm_90] = { 150754820096, 4800000000000, 989000000000000 } } do
    lu.assertStrContains(chain.files(run(ABACUS, nil, target))["arena.h"], string.format(
      "\n#define DEVICE_BYTES ((size_t)%d)\n\n// The peak rates of the device; 0: not known.\n"
      .. "#define DEVICE_BYTES_PER_SECOND ((double)%d)\n#define DEVICE_FLOPS ((double)%d)\n", table.unpack(facts)))
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
      local text, where = files[name], path .. ": " .. name
      lu.assertEquals(text:sub(-1), "\n", where)
      for _, bad in ipairs { "[\t\r]", " \n", "\n\n\n", "[^\n ]  +" } do lu.assertNil(text:find(bad), where) end
    end
  end)
end

-- No line of a kernel reaches 120 columns, with the sizes of gpt-oss or with small odd ones. The first line, which has
-- the path of the config, and the launcher's prototype, which is longer than a line, are exempt.
function TestTrees.test_lines_are_short()
  for _, path in ipairs { chain.GPT_OSS_20B, "tests/models/odd_f32/config.json" } do
    for _, target in ipairs { TARGETS[1], TARGETS[2], cpu } do
      local stages = run(path, nil, target)
      local files = chain.files(stages)
      for _, kernel in ipairs(stages.kernels.list) do
        for i, line in ipairs(lines_of(files[kernel.file])) do
          local exempt = i == 1 or line:find("^void launch_") ~= nil
          lu.assertTrue(exempt or #line < 120, string.format("%s: %s:%d: %s", path, kernel.file, i, line))
        end
      end
    end
  end
end

-- The numbers in a kernel's body: those outside constants, comments, includes and names.
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

-- Every size is a named constant or in a symbol, however small it is. Formulas may have only zeros, ones and twos.
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

-- The kernel's symbol is at its definition and in a launch, and the launcher has the prototype of kernels.h.
function TestTrees.test_symbols_and_prototypes()
  each(function(stages)
    local files = chain.files(stages)
    for _, kernel in ipairs(stages.kernels.list) do
      local text = files[kernel.file]
      lu.assertStrContains(text, "\nstatic __global__ void __launch_bounds__(BLOCK) " .. kernel.symbol .. "(")
      lu.assertStrContains(text, "  LAUNCH(pass, " .. kernel.symbol .. ",\n")
      lu.assertStrContains(text, "\n" .. kernel.prototype .. " {\n")
      lu.assertStrContains(files["kernels.h"], "\n" .. kernel.prototype .. ";\n")
    end
  end)
end

function TestTrees.test_weights()
  local lines, text = {}, chain.files(run(chain.GPT_OSS_20B))["weights.inc"]:gsub(",\n +", ", ") -- unwrapped
  for _, line in ipairs(lines_of(text)) do
    if line:find("^WEIGHT%(W_00_[MGR]") then lines[#lines + 1] = line:gsub("(F%d+, CONTIGUOUS), %d+,", "%1, AT,") end
  end
  local mlp = '"model.layers.0.mlp.'
  lu.assertEquals(lines, {
    'WEIGHT(W_00_MLP_NORM, "model.layers.0.post_attention_layernorm.weight", PLAIN, F32, CONTIGUOUS, AT, 2880)',
    'WEIGHT(W_00_ROUTER, ' .. mlp .. 'router.weight", PLAIN, F32, CONTIGUOUS, AT, 32, 2880)',
    'WEIGHT(W_00_ROUTER_BIAS, ' .. mlp .. 'router.bias", PLAIN, F32, CONTIGUOUS, AT, 32)',
    'WEIGHT(W_00_GATE_UP, ' .. mlp .. 'experts.gate_up_proj", MXFP4, BF16, CONTIGUOUS, AT, 32, 5760, 2880)',
    'WEIGHT(W_00_GATE_UP_BIAS, ' .. mlp .. 'experts.gate_up_proj_bias", PLAIN, F32, CONTIGUOUS, AT, 32, 5760)',
  })
end

function TestTrees.test_an_undefined_name()
  local path = "templates/fp32/embed.hip.in"
  local templates = chain.templates(gfx90a)
  templates[path] = templates[path]:gsub("${d_model}", "${d_mode}")
  local ok, got = pcall(emit.files, run(ABACUS), templates)
  lu.assertEquals({ ok, got }, { false, path .. ":8: undefined template variable 'd_mode'" })
end

function TestTrees.test_a_wrong_parameter()
  local stages = run(ABACUS)
  stages.kernels.of.rope_append.parameters.half = 16
  local ok, got = pcall(emit.files, stages, chain.templates(gfx90a))
  lu.assertEquals({ ok, got }, { false, "templates/fp32/rope_append.hip.in:1: want half = d_head / 2" })
end

TestReview = {}

-- With the same memory and speed, the trees of both GPUs differ only in the target's name.
function TestReview.test_targets_differ_in_their_name()
  local twin = setmetatable({ flops = gfx90a.flops, bytes_per_second = gfx90a.bytes_per_second },
    { __index = TARGETS[2] })
  for _, path in ipairs(chain.configs()) do
    local one, other = chain.files(run(path, nil, TARGETS[1])), chain.files(run(path, nil, twin))
    lu.assertEquals(sorted_names(one), sorted_names(other), path)
    for name, text in pairs(one) do
      text = text:gsub("\nsources by cksum: [^\n]*", "")
      other[name] = other[name]:gsub("\nsources by cksum: [^\n]*", "")
      lu.assertTrue(other[name]:gsub("sm_90", "gfx90a") == text, path .. ": " .. name)
    end
  end
end

-- { [file] = number of changed lines } of the files that differ, the number of these files, and the number of changed
-- lines in all. No file may become longer or shorter.
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
  lu.assertEquals({ differ["attn_sliding.hip"], differ["model.h"] }, { 2, 1 })
  lu.assertEquals({ differ["schedule.inc"], differ["weights.inc"], differ["kernels.h"] }, {})
end

function TestReview.test_experts()
  local differ = changed(gpt_oss(), gpt_oss(function(c) c.num_local_experts = 128 end))
  lu.assertEquals(differ["model.h"], 1)
  for _, name in ipairs { "schedule.inc", "kv.h", "kernels.h", "build.ninja", "attn_full.hip", "moe_combine.hip" } do
    lu.assertNil(differ[name], name)
  end
end

-- The lines of `to` that `from` lacks. `to` must have every line of `from`, in the same order.
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
  -- Twelve layers: each a paragraph of a blank line, a title and 11 steps, and 17 tensors.
  lu.assertEquals(#inserted(short["schedule.inc"], long["schedule.inc"]), 12 * 13)
  local entries = 0
  for _, line in ipairs(inserted(short["weights.inc"], long["weights.inc"])) do
    if line:find("^WEIGHT%(") then entries = entries + 1 end
  end
  lu.assertEquals(entries, 12 * 17)
  for name, text in pairs(short) do
    if name:find("%.hip$") or name == "kernels.h" or name == "build.ninja" then lu.assertEquals(long[name], text) end
  end
end

os.exit(lu.LuaUnit.run())
