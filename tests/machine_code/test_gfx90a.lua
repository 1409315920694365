-- Tests the modules of tests/machine_code/gfx90a/, with which check_gfx90a.lua judges kernels, on assembly that is
-- short enough to count by hand and on kernels that make a compiler spill.
-- luacheck: globals TestIsa TestAssembly TestLoops TestFigures TestSlots TestGates TestReport TestCompilers

package.path = "./?.lua;" .. package.path
local assembly = require "tests.machine_code.gfx90a.assembly"
local compile = require "tests.machine_code.gfx90a.compile"
local figures = require "tests.machine_code.gfx90a.figures"
local gates = require "tests.machine_code.gfx90a.gates"
local isa = require "tests.machine_code.gfx90a.isa"
local loops = require "tests.machine_code.gfx90a.loops"
local lu = require "luaunit"
local mca = require "tests.machine_code.gfx90a.mca"
local report = require "tests.machine_code.gfx90a.report"
local support = require "tests.support"

-- The assembly file of one kernel, in the form in which clang writes it.
local function program(body, metadata)
  local fields = { agpr_count = 0, vgpr_count = 100, sgpr_count = 20, vgpr_spill_count = 0, sgpr_spill_count = 0,
    group_segment_fixed_size = 0, private_segment_fixed_size = 0, max_flat_workgroup_size = 256 }
  local lines = {}
  for key, value in pairs(metadata or {}) do fields[key] = value end
  for key, value in pairs(fields) do lines[#lines + 1] = string.format("    .%s: %d\n", key, value) end
  return "\t.text\nkern__gfx90a: ; @kern__gfx90a\n; %bb.0:\n" .. body .. "\ts_endpgm\n.Lfunc_end0:\n"
    .. "\t.amdgpu_metadata\n---\namdhsa.kernels:\n  - .args:\n      - .offset:         0\n        .size:           8\n"
    .. "    .name:           kern__gfx90a\n" .. table.concat(lines)
    .. "    .symbol:         kern__gfx90a.kd\n...\n\t.end_amdgpu_metadata\n"
end

local function kernel_of(body, metadata)
  local kernels = assembly.parse(program(body, metadata))
  lu.assertEquals(#kernels, 1)
  return kernels[1]
end

local function ops(code)
  local list = {}
  for i, each in ipairs(code) do list[i] = each.op end
  return table.concat(list, " ")
end

-- A matrix product. Each iteration has two MFMAs for each of two sums, so 32 k; only the last one jumps past %bb.2.
local PRODUCT <const> = [[
	v_mov_b32_e32 v0, 0
.LBB0_1:                                ; =>This Loop Header: Depth=1
	global_load_dwordx4 v[40:43], v[60:61], off
	s_cmp_lg_u32 s0, 0
	s_cbranch_scc0 .LBB0_3
; %bb.2:
	ds_read_b128 v[20:23], v62
	global_load_dwordx2 v[44:45], v[60:61], off offset:16
	s_waitcnt vmcnt(2) lgkmcnt(0)
	v_mfma_f32_16x16x16f16 v[0:3], v[20:21], v[24:25], v[0:3]
	v_exp_f32_e32 v63, v63
	v_mfma_f32_16x16x16f16 v[4:7], v[20:21], v[26:27], v[4:7]
	v_mfma_f32_16x16x16f16 v[0:3], v[22:23], v[28:29], v[0:3]
	v_mfma_f32_16x16x16f16 v[4:7], v[22:23], v[30:31], v[4:7]
	ds_write2_b64 v64, v[40:41], v[42:43] offset1:1
	s_barrier
	s_branch .LBB0_4
.LBB0_3:
	global_load_ubyte v40, v[60:61], off
	v_mfma_f32_16x16x16f16 v[0:3], v[20:21], v[24:25], v[0:3]
.LBB0_4:
	s_add_i32 s0, s0, -1
	s_cbranch_scc1 .LBB0_1
; %bb.5:
	global_store_dwordx4 v[60:61], v[0:3], off
]]
local HOT_PRODUCT <const> = "global_load_dwordx4 s_cmp_lg_u32 s_cbranch_scc0 ds_read_b128 global_load_dwordx2 "
  .. "s_waitcnt v_mfma_f32_16x16x16f16 v_exp_f32_e32 v_mfma_f32_16x16x16f16 v_mfma_f32_16x16x16f16 "
  .. "v_mfma_f32_16x16x16f16 ds_write2_b64 s_barrier s_branch s_add_i32 s_cbranch_scc1"

TestIsa = {}

function TestIsa.test_slots_of_mfmas()
  for op, slots in pairs {
    v_mfma_f32_16x16x16bf16_1k = 8, v_mfma_f32_16x16x16f16 = 8, v_mfma_f32_32x32x8f16 = 16, v_mfma_i32_16x16x16i8 = 8,
    v_mfma_f32_4x4x4f16 = 2, v_mfma_f64_16x16x4f64 = 8, v_mfma_f64_4x4x4f64 = 4, v_mul_f32_e32 = 0,
  } do
    lu.assertEquals(isa.mfma_slots(op), slots, op)
  end
  lu.assertEquals({ isa.mfma "v_mfma_f32_32x32x8bf16_1k" }, { 32, 8 })
end

function TestIsa.test_bytes()
  for op, want in pairs {
    global_load_dwordx4 = "global read 16", global_load_short_d16_hi = "global read 2",
    flat_load_ubyte = "global read 1",
    buffer_store_dwordx3 = "global write 12", global_atomic_add = "global atomic 4", ds_read_b128 = "lds read 16",
    ds_read2st64_b64 = "lds read 16", ds_read_u16_d16 = "lds read 2", ds_write2_b32 = "lds write 8",
    ds_bpermute_b32 = "lds exchange 4",
  } do
    local access = isa.access(op)
    lu.assertEquals(table.concat({ access.space, access.kind, access.bytes }, " "), want, op)
  end
  for _, op in ipairs { "v_mov_b32_e32", "s_load_dwordx4", "scratch_load_dword" } do
    lu.assertNil(isa.access(op), op)
  end
end

function TestIsa.test_classes()
  for op, class in pairs { v_exp_f32_e32 = "valu", s_add_u32 = "salu", s_load_dword = "salu", s_waitcnt = "wait",
    s_barrier = "barrier", ds_swizzle_b32 = "lds", buffer_load_dword = "global", scratch_load_dword = "scratch" } do
    lu.assertEquals(isa.class(op), class, op)
  end
  lu.assertEquals({ isa.vector_slots "v_exp_f32_e32", isa.vector_slots "v_exchange", isa.vector_slots "v_pk_fma_f32" },
    { 4, 1, 1 })
end

TestAssembly = {}

-- The readable names are c++filt's.
function TestAssembly.test_names()
  for symbol, name in pairs {
    plain = "plain", _Z4kernPKf = "kern", _ZL5twicePfi = "twice", _ZL4kernILi128EEvPf = "kern<128>",
    _ZL4kernI6stagedILi4ELi8ELi1EEEvPKiPKDF16_ = "kern<staged<4,8,1>>",
    _ZL4kernI6directILin1EELb0EEvv = "kern<direct<-1>,0>", _ZL4kernIfLi2EEvv = "kern<f,2>",
  } do
    lu.assertEquals(assembly.name(symbol), name)
  end
end

function TestAssembly.test_resources()
  local kernel = kernel_of("\ts_getpc_b64 s[4:5]\n\ts_swappc_b64 s[30:31], s[4:5]\n", { vgpr_count = 256,
    agpr_count = 128, vgpr_spill_count = 7, private_segment_fixed_size = 640, group_segment_fixed_size = 1024 })
  local got = { kernel.name, kernel.registers, kernel.vgprs, kernel.agprs, kernel.vgpr_spills, kernel.sgpr_spills,
    kernel.scratch, kernel.lds, kernel.threads, kernel.calls }
  lu.assertEquals(got, { "kern__gfx90a", 256, 128, 128, 7, 0, 640, 1024, 256, 1 })
end

function TestAssembly.test_blocks()
  local next = {}
  for i, block in ipairs(kernel_of(PRODUCT).blocks) do next[i] = table.concat(block.next, " ") end
  -- 1 is empty; then bb.0, LBB0_1, 4 after its branch, bb.2, 6 after its branch, LBB0_3, LBB0_4, 9, bb.5, 11.
  lu.assertEquals(next, { "2", "3", "7 4", "5", "8", "7", "8", "3 9", "10", "", "" })
end

function TestAssembly.test_code_without_metadata_is_no_kernel()
  lu.assertEquals(assembly.parse("helper:\n\ts_setpc_b64 s[30:31]\n.Lfunc_end0:\n"), {})
end

TestLoops = {}

function TestLoops.test_hot_path_does_most_work()
  lu.assertEquals(ops(loops.hot(kernel_of(PRODUCT).blocks)), HOT_PRODUCT)
end

function TestLoops.test_inner_loop_counts_alone()
  local nest = [[
.LBB0_1:
	v_mfma_f32_16x16x16f16 v[0:3], v[8:9], v[10:11], v[0:3]
	v_mfma_f32_16x16x16f16 v[4:7], v[8:9], v[10:11], v[4:7]
.LBB0_2:
	v_mfma_f32_32x32x8f16 v[20:35], v[8:9], v[10:11], v[20:35]
	%s
	s_cbranch_scc1 .LBB0_2
; %%bb.3:
	s_cbranch_scc1 .LBB0_1
]]
  -- Both loops have 16 slots of MFMAs: the longer one is chosen, and its path walks the inner one once.
  local outer = loops.hot(kernel_of(nest:format("s_nop 0")).blocks)
  lu.assertEquals(#outer, 6)
  local inner = loops.hot(kernel_of(nest:format("v_mfma_f32_4x4x4f16 v[0:3], v[8:9], v[10:11], v[0:3]")).blocks)
  lu.assertEquals(ops(inner), "v_mfma_f32_32x32x8f16 v_mfma_f32_4x4x4f16 s_cbranch_scc1")
end

function TestLoops.test_no_matrix_loop()
  lu.assertNil(loops.hot(kernel_of(".LBB0_1:\n\tv_mov_b32_e32 v0, 0\n\ts_cbranch_scc1 .LBB0_1\n").blocks))
  local straight = "\tv_mfma_f32_16x16x16f16 v[0:3], v[8:9], v[10:11], v[0:3]\n"
  lu.assertNil(loops.hot(kernel_of(straight).blocks))
end

TestFigures = {}

-- The hot path of PRODUCT has 16 instructions. 4 MFMAs need 32 slots and one exp 4; per lane LDS moves 16 + 16 bytes
-- and loads 16 + 8.
function TestFigures.test_mix()
  local of = figures.measure(kernel_of(PRODUCT))
  lu.assertEquals(of.count, { mfma = 4, valu = 1, salu = 5, lds = 2, global = 2, scratch = 0, barrier = 1, wait = 1 })
  lu.assertEquals({ of.mfma_slots, of.valu_slots, of.lds_bytes, of.read_bytes, of.written_bytes },
    { 32, 4, 2048, 1536, 0 })
  lu.assertEquals({ of.mfma_percent, of.valu_load, of.lds_load, of.l1_load }, { 25.0, 12.5, 50.0, 75.0 })
end

-- An iteration has two sums of 32 k and one barrier. At the wait of the second iteration 4 loads are in flight, of 2 x
-- (16 + 8) bytes per lane: 64 lanes of each of 4 waves of each of 4 SIMDs.
function TestFigures.test_depth_and_loads()
  local of = figures.measure(kernel_of(PRODUCT, { vgpr_count = 128 }))
  lu.assertEquals({ of.depth, of.barriers_per_64_k, of.waves, of.loads_in_flight }, { 32, 2.0, 4.0, 48 * 64 * 16 })
end

function TestFigures.test_waves()
  for _, case in ipairs {
    -- registers, LDS, threads, waves per SIMD
    { 64, 0, 256, 8 }, { 65, 0, 256, 7 }, { 128, 0, 256, 4 }, { 129, 0, 256, 3 }, { 256, 32768, 256, 2 },
    { 206, 33000, 256, 1 }, { 89, 4992, 64, 3.25 }, { 512, 0, 64, 1 }, { 24, 16896, 256, 3 }, { 100, 0, 1024, 4 },
  } do
    local metadata = { vgpr_count = case[1], group_segment_fixed_size = case[2], max_flat_workgroup_size = case[3] }
    lu.assertEquals(figures.measure(kernel_of("", metadata)).waves, case[4] + 0.0, table.concat(case, " "))
  end
end

function TestFigures.test_figures_of_issue_slots()
  local of = figures.measure(kernel_of(PRODUCT))
  figures.add_slots(of, 64)
  lu.assertEquals({ of.slots_per_mfma, of.busy, of.busy_at_most }, { 16.0, 0.5, 1 })
  lu.assertNil(of.slots_per_tile)
end

-- With heads of 64 a tile of 16 keys is 8 MFMAs of 16x16x16, 4 for the scores and 4 for the values.
function TestFigures.test_tiles_of_attention()
  local kernel = kernel_of(PRODUCT)
  kernel.name = "f16_attn_full_h64_g8_d64__gfx90a"
  local of = figures.measure(kernel)
  figures.add_slots(of, 64)
  lu.assertEquals({ of.tiles, of.slots_per_tile }, { 0.5, 128.0 })
end

TestSlots = {}

local function slots(body)
  lu.skipIf(mca.missing, mca.missing)
  assert(os.execute("mkdir -p " .. support.scratch))
  local code = {}
  for text in body:gmatch("[^\n]+") do code[#code + 1] = { op = text:match("%S+"), text = text } end
  return mca.slots(code, support.scratch)
end

-- A 16x16x16 MFMA occupies the matrix core for 8 slots, in which 7 other instructions issue.
function TestSlots.test_matrix_core_is_the_limit()
  local mfma = "v_mfma_f32_16x16x16f16 v[%d:%d], v[80:81], v[82:83], v[%d:%d]\n"
  local body = {}
  for i = 0, 3 do
    body[#body + 1] = mfma:format(4 * i, 4 * i + 3, 4 * i, 4 * i + 3)
    for j = 1, 7 do body[#body + 1] = string.format("v_mov_b32_e32 v%d, 0\n", 90 + j) end
  end
  lu.assertAlmostEquals(slots(table.concat(body)), 32, 1)
end

-- A value from memory arrives after 600 clocks; from LDS 8 bytes arrive after 64 and 16 bytes after 128.
function TestSlots.test_latencies()
  local _, memory = nil, slots "global_load_dword v0, v[2:3], off\ns_waitcnt vmcnt(0)\nv_mov_b32_e32 v2, v0\n"
  lu.assertAlmostEquals(memory, 151, 3)
  lu.assertAlmostEquals(slots "ds_read_b64 v[0:1], v2\ns_waitcnt lgkmcnt(0)\nv_mov_b32_e32 v2, v0\n", 17, 3)
  lu.assertAlmostEquals(slots "ds_read_b128 v[4:7], v2\ns_waitcnt lgkmcnt(0)\nv_mov_b32_e32 v2, v4\n", 33, 3)
end

-- llvm-mca 22 never ends on this loop unless its carry is removed.
function TestSlots.test_a_loop_that_hangs_llvm_mca()
  local count = slots [[
v_mfma_f32_16x16x16f16 v[106:109], v[108:109], v[112:113], v[136:139]
s_add_u32 s35, s0, s35
s_addc_u32 s36, s1, 0
s_add_u32 s35, s35, 64
s_addc_u32 s36, s36, 0
s_lshl_b32 s38, s38, 7
s_nop 1
v_add_co_u32_e32 v138, vcc, s37, v130
]]
  lu.assertAlmostEquals(count, 8, 4)
end

function TestSlots.test_unknown_instruction_is_an_error()
  local none, message = slots "v_no_such_instruction v0\n"
  lu.assertNil(none)
  lu.assertStrContains(message, "llvm-mca-22: ")
end

TestGates = {}

local GATE <const> = { name = "g", roles = "^m", kernels = { "" }, waves = 2, mfma_percent = 35, lds_load = 25,
  l1_load = 25, barriers_per_64_k = 1, slots_per_mfma = 11 }

local function clean()
  return { name = "k", vgprs = 200, lds = 0, vgpr_spills = 0, sgpr_spills = 0, scratch = 0, calls = 0 }
end

local function good()
  return { code = {}, waves = 2, mfma_percent = 35, lds_load = 25, l1_load = 25, barriers_per_64_k = 1, slots = 1,
    slots_per_mfma = 11 }
end

function TestGates.test_figures_at_their_limits_pass()
  lu.assertEquals(gates.complaints(clean(), good(), GATE), {})
end

function TestGates.test_figures_beyond_their_limits_fail()
  for field, value in pairs { waves = 1.75, mfma_percent = 34.9, lds_load = 25.1, l1_load = 26, barriers_per_64_k = 2,
    slots_per_mfma = 11.1 } do
    local measured = good()
    measured[field] = value
    local list = gates.complaints(clean(), measured, GATE)
    lu.assertEquals(#list, 1, field)
    local side = (field == "waves" or field == "mfma_percent") and "least" or "most"
    lu.assertStrContains(list[1], string.format("want at %s %d ", side, GATE[field]))
  end
end

function TestGates.test_spills_scratch_and_calls_fail()
  for _, field in ipairs { "vgpr_spills", "sgpr_spills", "scratch", "calls" } do
    local kernel = clean()
    kernel[field] = 3
    local list = gates.complaints(kernel, good(), GATE)
    lu.assertEquals(#list, 1, field)
    lu.assertStrMatches(list[1], "want no .*, found 3")
    lu.assertEquals(gates.spills(kernel), list)
  end
end

-- Without llvm-mca the limits of issue slots are skipped; without a matrix loop each limit of the loop fails.
function TestGates.test_missing_figures()
  local measured = good()
  measured.slots, measured.slots_per_mfma = nil, nil
  lu.assertEquals(gates.complaints(clean(), measured, GATE), {})
  lu.assertEquals(#gates.complaints(clean(), { waves = 2 }, GATE), 5)
end

function TestGates.test_every_matrix_kernel_needs_a_gate()
  local kernel = clean()
  kernel.name = "of_no_known_name"
  lu.assertNil(gates.of("matmul_new", kernel, good()))
  lu.assertStrContains(gates.complaints(kernel, good(), nil)[1], "want a gate for")
  local limits = gates.of("norm", kernel, { waves = 3 })
  lu.assertEquals(#gates.complaints(kernel, { waves = 3 }, limits), 2) -- too many VGPRs, too few waves
end

-- The kernels' names follow those of the templates.
function TestGates.test_gates_of_kernel_names()
  for name, want in pairs {
    ["f16_attn_full_h64_g8_d64__gfx90a"] = "attention", ["f16_x__gfx90a<staged<4,8,1,4,2>>"] = "largest tiles",
    ["f16_x__gfx90a<staged<3,8,1,4,2>>"] = "large tiles",
    ["f16_x__gfx90a<staged<2,4,1,4,2>>"] = "small tiles", ["f16_x__gfx90a<staged<2,8,1,4,2>>"] = "small tiles",
    ["f16_x__gfx90a<direct<1,1,8,1>>"] = "small tiles",
    ["f16_mf4w_moe_x__gfx90a_many"] = "large tiles", ["f16_mf4w_moe_x__gfx90a_few"] = "small tiles",
  } do
    local gate = gates.of(name:find("attn") and "attn_full" or "moe_up", { name = name }, good())
    lu.assertEquals(gate and gate.name, want, name)
  end
  lu.assertNotEquals(gates.unused {}, {})
end

TestReport = {}

local function judged(name, changes)
  local kernel, measured = clean(), good()
  kernel.name, kernel.agprs = name, 0
  measured.valu_load, measured.loads_in_flight, measured.busy, measured.busy_at_most = 13, 53248, 0.84, 1
  for key, value in pairs(changes or {}) do
    if kernel[key] then kernel[key] = value else measured[key] = value end
  end
  return { path = "p", compiler = { name = "hipcc", version = "15.0.6" }, kernel = kernel, measured = measured }
end

-- A kernel of two trees gets the worse figures, attention counts slots per tile, names are sorted, and kernels without
-- matrix instructions or by another compiler are left out.
function TestReport.test_figures()
  local scalar, other = judged "scalar", judged "other_compiler"
  scalar.measured.code, other.compiler = nil, { name = "clang 22", version = "22.1.8" }
  local list = { judged "m", judged("attn", { slots_per_tile = 150.04 }), scalar, other,
    judged("m", { vgprs = 210, mfma_percent = 40, slots_per_mfma = 10, waves = 1.5 }) }
  local text = report.figures(list, "15.0.6")
  lu.assertEquals(load(text)(), { compiler = "15.0.6",
    { kernel = "attn", vgprs = 200, agprs = 0, lds = 0, waves = "2", mfma_percent = "35", slots = "150.0 per tile" },
    { kernel = "m", vgprs = 210, agprs = 0, lds = 0, waves = "1.5", mfma_percent = "35", slots = "11.0 per MFMA" } })
end

function TestReport.test_table()
  local lines = report.table { judged "m" }
  lu.assertEquals(#lines, 3)
  lu.assertEquals(lines[3],
    "| `m` | 15 | 200 + 0 | 0 | 0 | 2 | 35 % | 13 : 25 : 25 | 1 | 52 KiB | 11.0 | 0.84 | 1.00 |")
  for _, line in ipairs(lines) do lu.assertEquals(select(2, line:gsub("|", "")), 14) end
end

TestCompilers = {}

-- Compiles a file of one kernel with every compiler there is: list of { compiler name, kernel }.
local function compiled(name, text)
  local path, jobs, list = support.write(name, text), {}, {}
  for _, compiler in ipairs(compile.compilers) do
    if not compiler.missing then jobs[#jobs + 1] = { path = path, compiler = compiler } end
  end
  lu.skipIf(#jobs == 0, "no compiler")
  compile.each(jobs, function(job, result, output)
    lu.assertEquals(output, "", job.compiler.name)
    list[#list + 1] = { job.compiler.name, assembly.parse(result)[1] }
  end)
  return list
end

-- Each thread holds 256 floats, but 8 waves per SIMD leave it 64 registers.
function TestCompilers.test_a_kernel_that_spills()
  for _, each in ipairs(compiled("spills.hip", [[
#include <hip/hip_runtime.h>
static __global__ void __launch_bounds__(256, 8) spills(float *x) {
  float a[256];
#pragma unroll
  for (int i = 0; i < 256; i++)
    a[i] = x[i * 256 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 256; i++)
    x[i * 256 + threadIdx.x] = a[i] * a[255 - i];
}
void launch(float *x) {
  hipLaunchKernelGGL(spills, dim3(1), dim3(256), 0, 0, x);
}
]])) do
    local name, kernel = table.unpack(each)
    lu.assertEquals(kernel.name, "spills")
    lu.assertTrue(kernel.vgpr_spills > 100, name)
    lu.assertTrue(kernel.scratch > 400, name)
    lu.assertEquals(#gates.spills(kernel), 2, name)
  end
end

-- Either compiler inlines the HIP headers' function for a barrier, so no call is left.
function TestCompilers.test_a_kernel_that_does_not()
  for _, each in ipairs(compiled("barrier.hip", [[
#include <hip/hip_runtime.h>
template <int N> static __global__ void __launch_bounds__(256) turn(float *x) {
  __shared__ float s[256];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[(threadIdx.x + N) % 256];
}
void launch(float *x) {
  hipLaunchKernelGGL(turn<3>, dim3(1), dim3(256), 0, 0, x);
}
]])) do
    local _, kernel = table.unpack(each)
    lu.assertEquals({ kernel.name, kernel.lds, gates.spills(kernel) }, { "turn<3>", 1024, {} })
  end
end

os.exit(lu.LuaUnit.run())
