-- The tools of `ninja bench`: what the drivers print, what is made of it, and the files that they write.
-- luacheck: globals TestSamples TestCounts TestRecord TestDrive TestLlama TestGguf

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local counts = require "tests.bench.counts"
local record = require "tests.bench.record"
local samples = require "tests.bench.samples"
local support = require "tests.support"

local MODEL <const>, TREE <const> = "tests/models/abacus", "build/tests/trees/abacus-cpu/"

-- ---- samples ----

TestSamples = {}

-- Four rounds of a job that decodes and one that only reads a prompt; the rates are 10, 40, 20, 32 and 100, 200.
local OUTPUT <const> = [[
threads 2
read 1 30000000000
read 4 40000000000
multiply 150000000000
prompt 8:4:10 9.0 32 1 1
decode 8:4:10 8.0 80 40000000000 16000000000
decode 8:4:10 2.0 80 40000000000 16000000000
read 1 20000000000
multiply 200000000000
decode 8:4:10 4.0 80 40000000000 16000000000
decode 8:4:10 2.5 80 40000000000 16000000000
prompt 1:512:0 5.12 512 1024000000 512000000000
prompt 1:512:0 2.56 512 1024000000 512000000000
]]

function TestSamples.test_rates()
  local parsed = samples.parse(OUTPUT)
  lu.assertEquals(parsed, { threads = 2, read = 40e9, read_alone = 30e9, multiply = 200e9, jobs = {
    { job = "8:4:10", name = "decode; 8 sequences", best = 40.0, median = 26.0, bytes = 5e8, flops = 2e8 },
    { job = "1:512:0", name = "prompt of 512", best = 200.0, median = 150.0, bytes = 2e6, flops = 1e9 },
  } })
  lu.assertEquals(samples.rows(parsed, parsed.jobs[1]), {
    { name = "decode; 8 sequences", value = 40.0, unit = "tok/s" },
    { name = "decode; 8 sequences: bytes", value = 20.0, unit = "GB/s" },
    { name = "decode; 8 sequences: of the reads", value = 50.0, unit = "%" },
    { name = "decode; 8 sequences: of the reads of one stream each", value = 100 * 20 / 30, unit = "%" },
    { name = "decode; 8 sequences: operations", value = 8.0, unit = "GFLOP/s" },
    { name = "decode; 8 sequences: of the multiply-adds", value = 4.0, unit = "%" },
  })
end

function TestSamples.test_names()
  local names = {}
  for i, job in ipairs(samples.parse("decode 1:2:3 1 1 1 1\nprompt 4:5:0 1 1 1 1\n").jobs) do names[i] = job.name end
  lu.assertEquals(names, { "decode; 1 sequence", "4 prompts of 5" })
end

function TestSamples.test_sizes()
  lu.assertEquals({ samples.sizes("1:64:64 64:8:8 1:512:0") }, { 64, 1024 })
  lu.assertEquals({ samples.sizes("2:1000:25") }, { 2, 2048 })
  lu.assertEquals({ samples.sizes("1:64:64 1:512") }, { nil, "1:512" })
end

function TestSamples.test_turns()
  lu.assertEquals(samples.compare({ 10, 30, 20 }, { 5, 10, 20 }),
    { ours = 30, theirs = 20, least = 1.0, most = 3.0, median = 2.0 })
end

-- ---- instructions ----

TestCounts = {}

-- A pass of two launches of one role and one of another, which calls expf; 7 instructions belong to schedule_run.
function TestCounts.test_callgrind()
  local counted = counts.of_callgrind([[
events: Ir

fl=schedule.c
fn=schedule_run
10 3
cfi=a.c
cfn=launch_matmul_o
calls=1 5
11 100
cfi=b.c
cfn=launch_attn_full
calls=1 9
12 50
cfn=launch_matmul_o
calls=3 5
13 200
14 4

fl=b.c
fn=launch_attn_full
9 30
cfn=expf
calls=2 1
9 20

fl=m.c
fn=expf
1 20

totals: 357
]])
  lu.assertEquals(counted, { total = 357, rest = 7,
    roles = { { role = "attn_full", instructions = 50 }, { role = "matmul_o", instructions = 300 } } })
end

function TestCounts.test_perf()
  lu.assertEquals(counts.of_perf("# started on Sat\n\n61234567890,,instructions:u,7123,100.00,,\n"), 61234567890)
  lu.assertNil(counts.of_perf("# started on Sat\n\n<not supported>,,instructions:u,0,100.00,,\n"))
end

-- ---- the CSV files ----

TestRecord = {}

function TestRecord.test_lines_are_replaced()
  local path = support.write("bench.csv", "")
  os.remove(path)
  local function line(what, value) return record.line("tree", what, value, "tok/s", "a, \"b\"") end
  lu.assertEquals(record.write(path, { line("one", 12.3456), line("two", 1234567.8) }), {})
  lu.assertEquals(record.write(path, { line("three", "3.50"), line("one", 0.5) }), { nil, 12.35 })
  local date = os.date("%Y-%m-%d")
  lu.assertEquals(support.lines(support.read(path)), {
    "date,tree,what,value,unit,command",
    date .. ",tree,one,0.5,tok/s,a   b ",
    date .. ",tree,two,1234568,tok/s,a   b ",
    date .. ",tree,three,3.50,tok/s,a   b ",
  })
end

-- ---- drive.c ----

TestDrive = {}

local PROGRAMS <const> = { "build/tests/bench/abacus-cpu/drive", "build/sanitize/bench/abacus-cpu/drive" }

local function drive(arguments, program)
  local status, out, err = support.run((program or PROGRAMS[1]) .. " " .. arguments)
  return status, out, err
end

-- { prompt =, decode = { seconds, tokens, bytes, flops } } of a job that is run once.
local function run_job(job, program)
  local status, out, err = drive("--no-peaks " .. MODEL .. " 1 " .. job, program)
  lu.assertEquals({ status, err }, { 0, "" }, job)
  local found = {}
  for phase, rest in out:gmatch("(%a+) " .. job .. " ([^\n]+)") do
    local seconds, tokens, bytes, flops = rest:match("^(%S+) (%d+) (%d+) (%d+)$")
    lu.assertTrue(tonumber(seconds) > 0, out)
    found[phase] = { tokens = tonumber(tokens), bytes = tonumber(bytes), flops = tonumber(flops) }
  end
  return found
end

-- How often each role is in the schedule, and what costs.inc says of it.
local function costs()
  local list, of = {}, {}
  for role, per, numbers in support.read(TREE .. "costs.inc"):gmatch("\nCOST%(([%w_]+), (%u+), ([%d, ]+)%)") do
    local cost = { per = per, steps = 0 }
    for number in numbers:gmatch("%d+") do cost[#cost + 1] = tonumber(number) end
    list[#list + 1], of[role] = cost, cost
  end
  for role in support.read(TREE .. "schedule.inc"):gmatch("\nSTEP%(%-?%d+, ([%w_]+)") do
    of[role].steps = of[role].steps + 1
  end
  return list
end

-- The bytes and flops of a pass of `rows` rows that attend to `keys` positions together, all in the window. abacus has
-- 8 experts, of which a row uses 2.
local function cost_of(rows, outputs, keys)
  local bytes, flops = 0, 0
  for _, cost in ipairs(costs()) do
    local weight, each, operations, key = table.unpack(cost)
    local n, attends = cost.per == "OUTPUTS" and outputs or rows, cost.per == "FULL" or cost.per == "SLIDING"
    local used = cost.per == "EXPERTS" and 1 - (1 - 2 / 8) ^ rows or 1
    bytes = bytes + cost.steps * (used * weight + n * each + keys * key)
    flops = flops + cost.steps * (attends and keys or n) * operations
  end
  return bytes, flops
end

local function assert_cost(found, tokens, bytes, flops)
  lu.assertEquals(found.tokens, tokens)
  lu.assertAlmostEquals(found.bytes, bytes, 1)
  lu.assertEquals(found.flops, flops)
end

function TestDrive.test_costs()
  for _, program in ipairs(PROGRAMS) do
    local found = run_job("3:4:2", program)
    local bytes, flops = cost_of(12, 3, 3 * (1 + 2 + 3 + 4))
    assert_cost(found.prompt, 12, bytes, flops)
    local first_bytes, first_flops = cost_of(3, 3, 3 * 5)
    local second_bytes, second_flops = cost_of(3, 3, 3 * 6)
    assert_cost(found.decode, 6, first_bytes + second_bytes, first_flops + second_flops)
  end
end

-- A prompt of more rows than a pass has, and no steps.
function TestDrive.test_long_prompt()
  local found = run_job("2:200:0")
  lu.assertEquals(found.prompt.tokens, 400)
  lu.assertNil(found.decode)
end

function TestDrive.test_lines()
  local status, out, err = drive(MODEL .. " 1 1:2:1 2:1:0")
  lu.assertEquals({ status, err }, { 0, "" })
  local words = {}
  for _, line in ipairs(support.lines(out)) do words[#words + 1] = line:match("^%a+") end
  lu.assertEquals(table.concat(words, " "), "threads read read read read multiply prompt decode "
    .. "read read read read multiply prompt")
  local parsed = samples.parse(out)
  lu.assertTrue(parsed.read > 1e8 and parsed.read < 1e13 and parsed.read_alone <= parsed.read, out)
  lu.assertTrue(parsed.multiply > 1e8 and parsed.multiply < 1e14, out)
end

local function refused(arguments, message)
  lu.assertEquals({ drive(arguments) }, { 1, "", "drive: " .. message .. "\n" })
end

function TestDrive.test_bad_command_lines()
  local jobs = "want SEQUENCES:PROMPT:STEPS, the first two from 1: see --help"
  refused("", "want CHECKPOINT ROUNDS JOB...: see --help")
  refused("--no-peaks " .. MODEL .. " 1", "want CHECKPOINT ROUNDS JOB...: see --help")
  refused(MODEL .. " 0 1:1:1", "0: want a number of rounds from 1: see --help")
  for _, job in ipairs { "1:1", "0:1:1", "1:0:1", "1:1:1x", "1:1:", "1:1234567:1", "-1:1:1" } do
    refused(MODEL .. " 1 " .. job, job .. ": " .. jobs)
  end
  refused(MODEL .. " 1 17:1:1", "17:1:1: want at most 16 sequences for this tree, found 17")
  refused(MODEL .. " 1 1:500:13", "1:500:13: want at most 512 positions for this tree, found 513")
  refused("tests/models/none 1 1:1:1", "tests/models/none: No such file or directory")
end

-- A checkpoint whose last norm is NaN; the time of such a pass means nothing.
function TestDrive.test_logits_that_are_no_numbers()
  local weights = support.read(MODEL .. "/model.safetensors")
  local header = string.unpack("<I8", weights)
  local first, last = table.unpack(json.decode(weights:sub(9, 8 + header))["model.norm.weight"].data_offsets)
  local spoiled = weights:sub(1, 8 + header + first) .. ("\xc0\x7f"):rep((last - first) // 2)
    .. weights:sub(9 + header + last)
  local folder = support.folder("not_finite", MODEL, { ["model.safetensors"] = spoiled })
  local status, _, err = drive("--no-peaks " .. folder .. " 1 1:1:1")
  lu.assertEquals({ status, err }, { 1, "drive: " .. folder .. ": want finite logits, found others\n" })
end

-- ---- llama.c ----

TestLlama = {}

local LIBRARIES <const> = support.scratch .. "/llama"

-- A folder with a library that prints its calls, and what it is loaded after.
local function make_libraries()
  assert(os.execute("rm -rf " .. LIBRARIES .. " && mkdir -p " .. LIBRARIES))
  local fake, empty = "tests/bench/fake_llama.c", support.write("empty.c", "")
  for name, source in pairs { ["libggml-base"] = empty, libggml = empty, ["libllama.v1"] = fake } do
    lu.assertEquals(support.run(string.format("cc -shared -fPIC -o %s/%s.so %s", LIBRARIES, name, source)), 0)
  end
end

local function llama(arguments, before)
  return support.run(string.format("%s build/tests/bench/llama %s", before or "", arguments))
end

function TestLlama.test_calls()
  make_libraries()
  local status, out, err = llama(LIBRARIES .. " model.gguf 3 1 2:2:1 1:3:0")
  lu.assertEquals({ status, (out:gsub(" %d+%.%d+", "")) },
    { 0, "threads 3\nprompt 2:2:1 4 0 0\ndecode 2:2:1 2 0 0\nprompt 1:3:0 3 0 0\n" })
  lu.assertEquals(err, "context 4096 2048 512 2 4\nthreads 1 3 3\nclear 1 1\ndecode 1 0:0 0:1* 1:0 1:1*\n"
    .. "decode 1 0:2* 1:2*\nclear 1 1\ndecode 1 0:0 0:1 0:2*\n")
end

function TestLlama.test_refusals()
  make_libraries()
  local function refused_by(arguments, message, before)
    local status, _, err = llama(arguments, before)
    lu.assertEquals({ status, err:match("llama: [^\n]*") }, { 1, "llama: " .. message })
  end
  local good = LIBRARIES .. " model.gguf 2 1 1:1:1"
  refused_by("", "want LIBRARIES MODEL.gguf THREADS ROUNDS JOB...")
  refused_by("tests model.gguf 2 1 1:1:1", "tests: want libggml-base*.so, found none")
  refused_by(LIBRARIES .. " other.gguf 2 1 1:1:1", "other.gguf: llama.cpp cannot load it")
  refused_by(LIBRARIES .. " model.gguf 2 1 1:1", "1:1: want SEQUENCES:PROMPT:STEPS, at most 64 sequences of 2048 "
    .. "positions and prompts of 2048 ids together")
  refused_by(good, "llama.cpp: want 512 2048 512 1 in front of its context parameters, found 4096 2048 512 1",
    "FAKE_OTHER=1")
  refused_by(good, "llama.cpp: want finite logits, found none", "FAKE_FAIL=1")
end

-- ---- gguf.lua ----

TestGguf = {}

local GGUF <const> = support.scratch .. "/model.gguf"

-- Reads the head of a GGUF file -> its keys, of an array the length; its tensors { name =, kind =, shape =, offset = };
-- and where their data begins.
local function read_head(bytes)
  local magic, version, tensors, count, at = string.unpack("<c4I4I8I8", bytes)
  lu.assertEquals({ magic, version }, { "GGUF", 3 })
  local FORMATS <const> = { [4] = "<I4", [5] = "<i4", [6] = "<f", [8] = "<s8" }
  local keys, list = {}, {}
  for _ = 1, count do
    local key, kind, value
    key, kind, at = string.unpack("<s8I4", bytes, at)
    if kind == 9 then
      kind, value, at = string.unpack("<I4I8", bytes, at)
      for _ = 1, value do at = select(2, string.unpack(FORMATS[kind], bytes, at)) end
    else
      value, at = string.unpack(FORMATS[kind], bytes, at)
    end
    keys[key] = value
  end
  for i = 1, tensors do
    local name, rank, after = string.unpack("<s8I4", bytes, at)
    local tensor = { name = name, shape = {} }
    at = after
    for j = 1, rank do tensor.shape[j], at = string.unpack("<I8", bytes, at) end
    tensor.kind, tensor.offset, at = string.unpack("<I4I8", bytes, at)
    list[i] = tensor
  end
  return keys, list, (at - 1 + 31) // 32 * 32
end

function TestGguf.test_file()
  local status, _, err = support.run("lua5.4 tests/bench/gguf.lua " .. MODEL .. "/config.json " .. GGUF)
  lu.assertEquals({ status, err }, { 0, "" })
  local bytes = support.read(GGUF)
  local keys, tensors, data = read_head(bytes)
  lu.assertEquals({ keys["general.architecture"], keys["gpt-oss.embedding_length"], keys["gpt-oss.expert_used_count"],
    keys["tokenizer.ggml.tokens"] }, { "gpt-oss", 192, 2, 1024 })
  lu.assertEquals(#tensors, 3 + 4 * (3 + 2 * 8))
  local BYTES <const>, end_of, shapes = { [0] = 4, [30] = 2, [39] = 17 / 32 }, 0, {}
  for _, tensor in ipairs(tensors) do
    local size = BYTES[tensor.kind]
    for _, n in ipairs(tensor.shape) do size = size * n end
    lu.assertEquals(tensor.offset, end_of, tensor.name)
    end_of, shapes[tensor.name] = (math.tointeger(size) + 31) // 32 * 32 + tensor.offset, tensor.shape
  end
  lu.assertEquals(#bytes, data + end_of)
  lu.assertEquals(shapes["blk.3.attn_q.weight"], { 192, 512 })
  lu.assertEquals(shapes["blk.0.ffn_down_exps.weight"], { 128, 192, 8 })
  lu.assertEquals(shapes["blk.0.ffn_up_exps.bias"], { 128, 8 })
end

function TestGguf.test_refusals()
  for model, message in pairs { none = "cannot read the file",
    rand_bf16 = "want MXFP4 experts, YaRN and an unembedding of its own, found another model" } do
    local path = "tests/models/" .. model .. "/config.json"
    local status, _, err = support.run(string.format("lua5.4 tests/bench/gguf.lua %s %s", path, GGUF))
    lu.assertEquals({ status, err }, { 1, string.format("gguf: %s: %s\n", path, message) })
  end
end

os.exit(lu.LuaUnit.run())
