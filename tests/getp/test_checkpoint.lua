-- make_checkpoint: the same seed gives the same bytes, the files have HF's names and shapes, and models compute sane
-- logits with the weights. getp needs little more memory than a checkpoint of 400 MB and its KV cache.
-- luacheck: globals TestBytes TestFiles TestModels TestErrors TestDeep

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lfs = require "lfs"
local lu = require "luaunit"
local support = require "tests.support"

local MAKE = "build/tests/make_checkpoint"
local MODELS = "tests/models/"
local OUT = support.scratch .. "/made"
local BOUND = 1e-4 -- relative L2 error of a position's logits

local function remove(path) assert(os.execute("rm -rf " .. path)) end

-- Makes a new checkpoint in `out`; `before` precedes the command.
local function make(config, out, options, before)
  remove(out)
  local command = string.format("%s %s %s %s %s", before or "", MAKE, config, out, options or "")
  local status, _, message = support.run(command)
  lu.assertEquals({ message, status }, { "", 0 }, config)
  return out
end

-- The files of a folder: { [name] = bytes }.
local function files(folder)
  local contents = {}
  for name in lfs.dir(folder) do
    if name:find("^[^.]") then contents[name] = support.read(folder .. "/" .. name) end
  end
  return contents
end

-- The tensors of all shards: { [name] = { dtype, shape, file, bytes } }.
local function tensors(folder)
  local found = {}
  for file, contents in pairs(files(folder)) do
    if file:find("%.safetensors$") then
      local length = string.unpack("<I8", contents)
      for name, entry in pairs(json.decode(contents:sub(9, 8 + length))) do
        local first, last = table.unpack(entry.data_offsets or {})
        if first then
          local bytes = contents:sub(9 + length + first, 8 + length + last)
          found[name] = { dtype = entry.dtype, shape = entry.shape, file = file, bytes = bytes }
        end
      end
    end
  end
  return found
end

-- The path of a copy of a model's config.json with changes.
local function changed(model, changes)
  local config = json.decode(support.read(MODELS .. model .. "/config.json"))
  for key, value in pairs(changes) do config[key] = value end
  return support.write("changed.json", json.encode(config))
end

local function ids(vocab, n)
  local sequence = {}
  for i = 1, n do sequence[i] = (i * i * 7919 + i * 104729) % vocab end
  return support.ids("made.ids", { sequence })
end

local function logits(tree, checkpoint, input, options)
  local out = support.scratch .. "/made.f32"
  local status, _, message = support.run(string.format("%s %s -m logits -i %s -o %s %s",
    support.getp(tree), checkpoint, input, out, options or ""))
  lu.assertEquals({ message, status }, { "", 0 }, tree)
  return support.read(out)
end

-- The root mean square of each position's logits is near 1; NaN fails every comparison.
local function assert_sane(values, vocab, what)
  for first = 1, #values, 4 * vocab do
    local sum = 0.0
    for at = first, first + 4 * (vocab - 1), 4 do sum = sum + string.unpack("<f", values, at) ^ 2 end
    local rms = math.sqrt(sum / vocab)
    lu.assertTrue(rms > 0.5 and rms < 2, what .. ": logits of root mean square " .. rms)
  end
end

-- The checkpoint runs in the tree of its config, whose logits agree with those of reference.c.
local function assert_runs(tree, checkpoint, vocab, positions)
  local input = ids(vocab, positions)
  local whole, want = logits(tree, checkpoint, input), logits(tree, checkpoint, input, "--reference")
  assert_sane(want, vocab, tree)
  lu.assertTrue(support.worst_error(whole, want, vocab) < BOUND, tree)
end

-- ---- bytes ----

TestBytes = { tearDown = function() remove(OUT .. "*") end }

function TestBytes.test_same_seed()
  for _, model in ipairs { "rand_mxfp4", "rand_bf16", "odd_f16", "odd_f32" } do
    local want = files(make(MODELS .. model, OUT, "--seed 7"))
    for _, threads in ipairs { 1, 3 } do
      local got = files(make(MODELS .. model, OUT .. "_again", "--seed 7", "OMP_NUM_THREADS=" .. threads))
      for name, bytes in pairs(want) do lu.assertTrue(got[name] == bytes, model .. "/" .. name) end
    end
  end
end

function TestBytes.test_other_seed()
  local one, other = tensors(make(MODELS .. "rand_mxfp4", OUT)), tensors(make(MODELS .. "rand_mxfp4", OUT, "--seed 1"))
  for name, tensor in pairs(one) do
    lu.assertEquals(other[name].shape, tensor.shape)
    lu.assertTrue(other[name].bytes ~= tensor.bytes, name)
  end
end

-- No two tensors of the same dtype begin with the same numbers.
function TestBytes.test_tensors_differ()
  local seen = {}
  for name, tensor in pairs(tensors(make(MODELS .. "odd_sharded", OUT))) do
    if #tensor.bytes >= 32 and not name:find("_scales$") then
      local start = tensor.dtype .. tensor.bytes:sub(1, 32)
      lu.assertNil(seen[start], name)
      seen[start] = name
    end
  end
end

function TestBytes.test_shards_leave_tensors_alone()
  local whole = tensors(make(MODELS .. "odd_sharded", OUT))
  local shards = tensors(make(MODELS .. "odd_sharded", OUT, "--shard-bytes 50000"))
  for name, tensor in pairs(whole) do lu.assertTrue(shards[name].bytes == tensor.bytes, name) end
end

-- ---- names, shapes, files ----

TestFiles = { tearDown = function() remove(OUT) end }

-- The tensors have the names, dtypes and shapes that transformers writes.
function TestFiles.test_tensors_of_transformers()
  for model in lfs.dir(MODELS) do
    if model:find("^[^.]") then
      local want, got = tensors(MODELS .. model), tensors(make(MODELS .. model, OUT))
      for _, list in ipairs { want, got } do
        for _, tensor in pairs(list) do tensor.bytes, tensor.file = nil, nil end
      end
      lu.assertEquals(got, want, model)
    end
  end
end

function TestFiles.test_small_files()
  local made = files(make(MODELS .. "odd_all_experts/config.json", OUT))
  lu.assertEquals(made["config.json"], support.read(MODELS .. "odd_all_experts/config.json"))
  lu.assertEquals(json.decode(made["generation_config.json"]), { eos_token_id = { 66, 64 } })
  lu.assertNotNil(made["model.safetensors"])
  lu.assertNil(made["model.safetensors.index.json"])
end

function TestFiles.test_shards()
  make(MODELS .. "rand_mxfp4", OUT, "--shard-bytes 200000")
  local index = json.decode(support.read(OUT .. "/model.safetensors.index.json"))
  local total, shards, of = 0, {}, {}
  for name, tensor in pairs(tensors(OUT)) do
    of[name] = tensor.file
    total = total + #tensor.bytes
    shards[tensor.file] = (shards[tensor.file] or 0) + #tensor.bytes
  end
  lu.assertEquals(index, { metadata = { total_size = total }, weight_map = of })
  for i = 1, 6 do
    local bytes = shards[string.format("model-%05d-of-00006.safetensors", i)]
    lu.assertTrue(bytes and bytes <= 200000, i)
  end
end

-- ---- the weights ----

TestModels = { tearDown = function() remove(OUT) end }

for model, options in pairs {
  rand_mxfp4 = "", rand_bf16 = "", rand_tied = "", odd_f16 = "", odd_f32 = "", odd_sharded = "--shard-bytes 30000",
} do
  TestModels["test_" .. model] = function()
    make(MODELS .. model, OUT, options)
    assert_runs(model .. "-cpu", OUT, json.decode(support.read(OUT .. "/config.json")).vocab_size, 24)
  end
end

local CODES <const> = { [0] = 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0 }

-- The mean square of an MXFP4 matrix is that of its unpacked twin.
function TestModels.test_mean_square_of_mxfp4()
  local made = tensors(make(MODELS .. "abacus", OUT))
  for name, columns in pairs { gate_up_proj = 192, down_proj = 128 } do
    local prefix, sum = "model.layers.0.mlp.experts." .. name, 0.0
    local codes, scales = made[prefix .. "_blocks"].bytes, made[prefix .. "_scales"].bytes
    for i = 1, #codes do
      local byte, scale = codes:byte(i), 2.0 ^ (scales:byte((i - 1) // 16 + 1) - 127)
      sum = sum + (scale * CODES[byte & 7]) ^ 2 + (scale * CODES[byte >> 4 & 7]) ^ 2
    end
    local want = 1 / columns / (name == "down_proj" and 2 * 4 or 1) -- damped for the 4 layers
    lu.assertAlmostEquals(sum / (2 * #codes) / want, 1, 0.03, name)
  end
end

-- The bfloat16 of a float32, rounded to nearest even.
local function rounded_bf16(bits) return (bits + 0x7fff + (bits >> 16 & 1)) >> 16 end

function TestModels.test_dtypes_round_the_same_numbers()
  local wide = tensors(make(changed("odd_f16", { torch_dtype = "float32" }), OUT))
  local half = tensors(make(MODELS .. "odd_f16", OUT))
  local brain = tensors(make(changed("odd_f16", { torch_dtype = "bfloat16" }), OUT))
  local name = "model.layers.1.mlp.experts.down_proj"
  for i = 0, #wide[name].bytes // 4 - 1 do
    local x, bits = string.unpack("<f", wide[name].bytes, 4 * i + 1), string.unpack("<I4", wide[name].bytes, 4 * i + 1)
    local h = string.unpack("<I2", half[name].bytes, 2 * i + 1)
    local exponent, fraction = h >> 10 & 31, h & 1023
    local y = exponent == 0 and fraction * 2.0 ^ -24 or (1024 + fraction) * 2.0 ^ (exponent - 25)
    local half_an_ulp = 2.0 ^ (math.max(exponent, 1) - 26)
    lu.assertTrue(math.abs(math.abs(x) - y) <= half_an_ulp and (x < 0) == (h >> 15 == 1), i)
    lu.assertEquals(string.unpack("<I2", brain[name].bytes, 2 * i + 1), rounded_bf16(bits), i)
  end
end

-- ---- errors ----

TestErrors = { tearDown = function() remove(OUT) end }

local function refused(arguments, message, before)
  local status, _, err = support.run(string.format("%s %s %s", before or "", MAKE, arguments))
  lu.assertEquals({ err, status }, { "make_checkpoint: " .. message .. "\n", 1 }, arguments)
end

function TestErrors.test_folders()
  local foreign = support.write("made_file", "mine")
  refused(MODELS .. "abacus " .. foreign, foreign .. ": Not a directory")
  refused(MODELS .. "abacus " .. foreign .. "/x", foreign .. "/x: cannot make the folder: Not a directory")
  refused(MODELS .. "none " .. OUT, MODELS .. "none: No such file or directory")
  make(MODELS .. "abacus", OUT)
  os.remove(OUT .. "/config.json")
  os.remove(OUT .. "/generation_config.json")
  local before = files(OUT)
  refused(MODELS .. "abacus " .. OUT,
    OUT .. ": want a folder that is new or empty, found model.safetensors in it: name another")
  lu.assertTrue(files(OUT)["model.safetensors"] == before["model.safetensors"])
end

function TestErrors.test_full_disk_leaves_nothing()
  refused(MODELS .. "abacus " .. OUT, OUT .. "/model.safetensors: cannot write: File too large", "ulimit -f 64;")
  lu.assertFalse(support.exists(OUT))
  assert(lfs.mkdir(OUT))
  refused(MODELS .. "abacus " .. OUT, OUT .. "/model.safetensors: cannot write: File too large", "ulimit -f 64;")
  lu.assertEquals(files(OUT), {})
end

function TestErrors.test_configs()
  local path = support.scratch .. "/changed.json"
  local function refused_config(changes, message)
    refused(changed("abacus", changes) .. " " .. OUT, path .. ": " .. message)
    lu.assertFalse(support.exists(OUT))
  end
  refused_config({ hidden_size = 176 },
    OUT .. "/config.json: hidden_size: want a multiple of 32 (MXFP4 groups), found 176")
  refused_config({ torch_dtype = "int8" },
    OUT .. '/config.json: torch_dtype: want bfloat16, float16 or float32, found "int8"')
  refused_config({ eos_token_id = json.null },
    OUT .. ": eos_token_id: want an id in generation_config.json or in config.json, found none")
  refused_config({ intermediate_size = 2000000000 },
    OUT .. "/config.json: intermediate_size: want an integer from 1 to 1048576, found 2000000000")
end

function TestErrors.test_flags()
  refused(MODELS .. "abacus", "want CONFIG OUT_DIR: see --help")
  refused("a b c", "c: want CONFIG OUT_DIR [--seed N] [--shard-bytes N]: see --help")
  refused("a b --tokenizer", "--tokenizer: want CONFIG OUT_DIR [--seed N] [--shard-bytes N]: see --help")
  refused("a b --seed -1", "--seed: want a whole number from 0, found -1")
  refused("a b --shard-bytes 0", "--shard-bytes: want a whole number from 1, found 0")
  refused("a b --shard-bytes", "--shard-bytes: want a whole number from 1, found nothing")
  refused("a b --seed 18446744073709551616", "--seed: want a whole number from 0, found 18446744073709551616")
end

-- ---- a deep model of 400 MB ----

local DEEP = support.scratch .. "/deep"
local VOCAB <const>, CONTEXT <const> = 2048, 256

TestDeep = { tearDown = function() remove(DEEP .. "* build/tests/deep-cpu") end }

local function deep_config()
  remove(DEEP)
  assert(os.execute("mkdir -p " .. DEEP))
  local config = json.decode(support.read("gen/configs/gpt-oss-120b.json"))
  config.hidden_size, config.intermediate_size, config.num_local_experts = 512, 512, 24
  config.num_attention_heads, config.num_key_value_heads = 8, 2
  config.vocab_size, config.eos_token_id, config.pad_token_id = VOCAB, VOCAB - 1, VOCAB - 2
  support.write("deep/config.json", json.encode(config))
end

-- Generates and builds deep-cpu in a folder of its own -> bytes of its weights and of its KV cache.
local function build_deep()
  local trees = DEEP .. "/trees"
  local generate = "lua5.4 gen/main.lua --target cpu --slots 1 --context %d --config %s --out %s"
  lu.assertEquals(support.run(generate:format(CONTEXT, DEEP, trees)), 0)
  local build = support.read("tests/build.ninja"):gsub("build/tests/trees", trees):gsub("include tests[^\n]*", "")
  local status, log = support.run("ninja -f " .. support.write("deep/build.ninja", build))
  lu.assertEquals(status, 0, log)
  local weights, plan = 0, select(2, support.run(support.getp("deep-cpu") .. " --plan")):gsub(",(%d)", "%1")
  for bytes in plan:gmatch("weights [^\n]+: (%d+)\n") do weights = weights + math.tointeger(bytes) end
  return weights, math.tointeger(plan:match("KV cache: (%d+)\n"))
end

-- The logits of a sequence that fills the KV cache, so that every expert is used -> them, peak memory in bytes.
local function run_deep(checkpoint, before)
  local out = DEEP .. "/logits.f32"
  local status, _, err = support.run(string.format("%s env time -f %%M %s %s -m logits -i %s -o %s", before or "",
    support.getp("deep-cpu"), checkpoint, ids(VOCAB, CONTEXT), out))
  lu.assertEquals(status, 0, err)
  return support.read(out), 1024 * tonumber(err)
end

-- The logits of 36 layers are sane. getp needs memory for the weights and the KV cache, and little more, also while it
-- packs weights of a checkpoint: what it has read of that does not stay. Nothing of a packed file is copied: its
-- weights need no memory that can be written.
function TestDeep.test_memory_and_depth()
  deep_config()
  local weights, kv = build_deep()
  local checkpoint = make(DEEP .. "/config.json", DEEP .. "_made")
  assert_runs("deep-cpu", checkpoint, VOCAB, 2)
  local packed, slack = DEEP .. "/packed", 128 << 20 -- for stacks and heaps
  lu.assertEquals(support.run(string.format("%s pack %s -o %s", support.getp("deep-cpu"), checkpoint, packed)), 0)
  lu.assertTrue(weights > 2 * slack)
  local from_folder, of_folder = run_deep(checkpoint)
  local from_packed, of_packed = run_deep(packed, string.format("ulimit -d %d;", (kv + slack) // 1024))
  lu.assertTrue(from_folder == from_packed)
  for name, peak in pairs { ["a folder"] = of_folder, ["a packed file"] = of_packed } do
    local ratio = peak / (weights + kv)
    print(string.format("# peak memory from %s: %.3f of %d MB of weights and KV cache", name, ratio,
      (weights + kv) // 1000000))
    lu.assertTrue(ratio > 0.9 and ratio < 1.05, ratio)
  end
end

os.exit(lu.LuaUnit.run())
