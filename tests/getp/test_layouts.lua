-- The same weights in every layout of files: Hugging Face, OpenAI's original, .bin in BF16 and FP32, and packed files
-- made of them. Where the stored values are the same, the logits are the same bytes. `getp info` says what a file is.
-- A file of another kind gets one line.
-- luacheck: globals TestPacked TestUnpacked TestAnswers TestInfo TestRefused

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local layouts = require "tests.getp.layouts"
local support = require "tests.support"

local MODEL, VOCAB = abacus.MODEL, abacus.VOCAB
local ROOT <const> = support.scratch .. "/layouts"
local OUT <const> = support.scratch .. "/layouts.f32"
local IDS = support.ids("layouts.ids", { table.unpack(abacus.REFERENCE.sequences, 1, 4) })
local FEW = support.ids("layouts_few.ids", { { table.unpack(abacus.REFERENCE.sequences[1], 1, 6) } })
local BOUND <const> = 1e-4 -- relative L2 error of a position's logits

local function write(name, text)
  assert(os.execute("mkdir -p " .. (ROOT .. "/" .. name):match("^(.*)/")))
  return support.write("layouts/" .. name, text)
end

local function config_of(path) return json.decode(support.read(path .. "/config.json")) end

-- Runs getp, which must succeed -> stderr.
local function run(program, arguments)
  local status, out, err = support.run(string.format("timeout 60 %s %s", program, arguments))
  lu.assertEquals(status, 0, arguments .. ": " .. err)
  return err, out
end

-- reference.c is slow: it gets few ids unless given others.
local function logits(program, checkpoint, flags, ids)
  os.remove(OUT)
  ids = ids or flags == "--reference" and FEW or IDS
  local err = run(program, string.format("%s -m logits -i %s -o %s %s", checkpoint, ids, OUT, flags or ""))
  return support.read(OUT), err
end

-- They begin as those of all ids if they are for few.
local function assert_near_transformers(bytes)
  local error = support.worst_error(bytes, support.read(MODEL .. "/logits.f32"):sub(1, #bytes), VOCAB)
  lu.assertTrue(error < BOUND, error)
end

local function swapped(path)
  return "getp: " .. path .. ": half of all exports have embedding and unembedding swapped, and no reader can see it: "
    .. "the exporter's log must name embedding.weight first\n"
end

-- Generates and builds the tree of a config in the folder of this test -> its getp.
local function build(name, config)
  local trees = ROOT .. "/trees"
  lu.assertEquals({ support.run(string.format("lua5.4 gen/main.lua --target cpu --config %s --name %s --out %s",
    config, name, trees)) }, { 0, "", "" }, name)
  local text = support.read("tests/build.ninja"):gsub("build/tests/trees", trees):gsub("include tests[^\n]*", "")
  local status, log = support.run(string.format("ninja -f %s %s", write("build.ninja", text), name))
  lu.assertEquals(status, 0, log)
  return "build/tests/" .. name .. "/getp"
end

-- ---- the files ----

local TENSORS = layouts.read(MODEL)
local CONFIG = config_of(MODEL)
local ORIGINAL <const>, SHARDS <const> = ROOT .. "/repository/original", ROOT .. "/shards"
local PLAIN, WIDE = ROOT .. "/plain", ROOT .. "/wide"

-- OpenAI's tensors in files of their names, without an index.
local function write_shards(tensors)
  local parts, names = { {}, {} }, {}
  for name in pairs(tensors) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i % 2 + 1][name] = tensors[name] end
  for i, part in ipairs(parts) do
    write(string.format("shards/model--0000%d-of-00002.safetensors", i), layouts.safetensors(part))
  end
end

local function write_unpacked(name, tensors, dtype)
  local config = config_of(MODEL)
  config.quantization_config, config.torch_dtype = nil, dtype
  write(name .. "/config.json", json.encode(config))
  write(name .. "/model.safetensors", layouts.safetensors(tensors))
  write("bin/" .. name .. ".bin", layouts.bin(tensors, config))
end

local function write_all()
  assert(os.execute("rm -rf " .. ROOT))
  local original, config = layouts.original(TENSORS), layouts.original_config(CONFIG)
  write("repository/original/model.safetensors", layouts.safetensors(original))
  write("repository/original/config.json", config)
  for _, file in ipairs { "tokenizer.json", "generation_config.json" } do
    write("repository/" .. file, support.read(MODEL .. "/" .. file))
  end
  write("shards/config.json", config)
  write_shards(original)
  local unpacked = layouts.unpacked(TENSORS)
  write_unpacked("plain", unpacked, "bfloat16")
  write_unpacked("wide", layouts.widened(unpacked), "float32")
end

write_all()

-- ---- MXFP4 ----

TestPacked = {}

function TestPacked.test_original()
  for _, flags in ipairs { "", "--reference" } do
    local want = logits(abacus.PROGRAM, MODEL, flags)
    for _, folder in ipairs { ORIGINAL, ROOT .. "/repository", SHARDS } do
      local got, err = logits(abacus.PROGRAM, folder, flags)
      lu.assertTrue(got == want, folder .. " " .. flags)
      lu.assertEquals(err, "")
    end
    assert_near_transformers(want)
  end
end

function TestPacked.test_pack()
  local want, file = logits(abacus.PROGRAM, MODEL), ROOT .. "/original.packed"
  run(abacus.PROGRAM, string.format("pack %s -o %s", ORIGINAL, file))
  lu.assertTrue(logits(abacus.PROGRAM, file) == want)
  local whole = ROOT .. "/folder.packed"
  run(abacus.PROGRAM, string.format("pack %s -o %s", MODEL, whole))
  lu.assertTrue(support.read(file) == support.read(whole))
end

-- The rows of q, k and v are as many as the config says.
function TestPacked.test_a_config_with_other_heads()
  local config = json.decode(layouts.original_config(CONFIG))
  config.num_key_value_heads = 4
  write("heads/config.json", json.encode(config))
  write("heads/model.safetensors", support.read(ORIGINAL .. "/model.safetensors"))
  local _, out = run(abacus.PROGRAM, "info " .. ROOT .. "/heads")
  lu.assertStrContains(out, "runs here: no: config.json: num_key_value_heads: want 2 for this getp, found 4: ")
end

-- ---- unpacked ----

TestUnpacked = {}

-- The trees come from .bin files, so the generator and the program read the same from a header.
function TestUnpacked.test_all_layouts_and_trees()
  local programs = { build("layouts_plain", ROOT .. "/bin/plain.bin"), build("layouts_wide", ROOT .. "/bin/wide.bin") }
  local want = { [""] = logits(programs[1], PLAIN), ["--reference"] = logits(programs[1], PLAIN, "--reference") }
  for flags, bytes in pairs(want) do
    assert_near_transformers(bytes)
    for _, program in ipairs(programs) do
      for _, path in ipairs { PLAIN, WIDE, ROOT .. "/bin/plain.bin", ROOT .. "/bin/wide.bin" } do
        local got, err = logits(program, path, flags)
        lu.assertTrue(got == bytes, table.concat({ program, path, flags }, " "))
        lu.assertEquals(err, path:find "bin$" and swapped(path) or "")
      end
    end
  end
  for _, path in ipairs { PLAIN, ROOT .. "/bin/plain.bin", ROOT .. "/bin/wide.bin" } do
    local file = ROOT .. "/unpacked.packed"
    run(programs[1], string.format("pack %s -o %s", path, file))
    lu.assertTrue(logits(programs[1], file) == want[""], path)
  end
end

-- If hidden and intermediate size are equal, no shape says how the experts lie.
function TestUnpacked.test_square_experts()
  local config = config_of(MODEL)
  config.quantization_config, config.hidden_size, config.intermediate_size = nil, 64, 64
  config.num_hidden_layers, config.layer_types, config.num_local_experts = 2, nil, 4
  local folder = ROOT .. "/square"
  lu.assertEquals(support.run(string.format("build/tests/make_checkpoint %s %s",
    write("square.json", json.encode(config)), folder)), 0)
  local bin = write("bin/square.bin", layouts.bin(layouts.read(folder), config))
  local program = build("layouts_square", bin)
  local ids = support.ids("square.ids", { { 1, 7, 1000, 3, 3, 512 } })
  for _, flags in ipairs { "", "--reference" } do
    lu.assertTrue(logits(program, bin, flags, ids) == logits(program, folder, flags, ids), flags)
  end
  local error = support.worst_error(logits(program, bin, "", ids), logits(program, bin, "--reference", ids), VOCAB)
  lu.assertTrue(error < BOUND, error)
end

-- ---- answers ----

TestAnswers = {}

function TestAnswers.test_original()
  local want = abacus.answer(abacus.PROMPTS)
  for _, folder in ipairs { ORIGINAL, ROOT .. "/repository", ROOT .. "/repository/original/" } do
    local err = run(abacus.PROGRAM, string.format("%s -m getp -i %s -o %s", folder, abacus.PROMPTS, OUT))
    lu.assertEquals(support.read(OUT), want)
    lu.assertNotStrContains(err, "eos_token_id")
  end
end

-- Without generation_config.json a model with a vocabulary below gpt-oss's ids has no stop id: answers fill -n.
function TestAnswers.test_no_stop_ids()
  local one = support.prompts("one.txt", { "0 * 4 =" })
  local err = run(abacus.PROGRAM,
    string.format("%s -z %s -m getp -i %s -o %s -n 16", SHARDS, abacus.TOKENIZER, one, OUT))
  local _, ids = support.read(OUT):gsub("%d+", "")
  lu.assertEquals(ids, 16 - 5) -- the prompt has 5 ids
  lu.assertStrContains(err,
    "getp: " .. SHARDS .. ": no eos_token_id in generation_config.json: outputs end at -n only\n")
end

-- ---- info ----

TestInfo = {}

local DIMENSIONS <const> = [[
vocab_size: 1024
hidden_size: 192
intermediate_size: 128
num_hidden_layers: 4
num_attention_heads: 8
num_key_value_heads: 2
head_dim: 64
num_local_experts: 8
num_experts_per_tok: 2
sliding_window: 32
layer_types: sliding full sliding full
rms_norm_eps: 1e-05
swiglu_limit: 7
swiglu_alpha: 1.702
attention_bias: true
tie_word_embeddings: false
rope_type: yarn
rope_theta: 10000
factor: 4
beta_fast: 32
beta_slow: 1
original_max_position_embeddings: 128
truncate: false
attention_factor: 1.13862944
]]

local function info(path)
  local err, out = run(abacus.PROGRAM, "info " .. support.quote(path))
  lu.assertEquals(err, "")
  return out
end

local function counts(...)
  local lines, tensors, bytes = {}, 0, 0
  for i, each in ipairs { ... } do
    lines[i] = string.format("%s: %d tensors, %d bytes\n", table.unpack(each))
    tensors, bytes = tensors + each[2], bytes + each[3]
  end
  return table.concat(lines) .. string.format("total: %d tensors, %d bytes\n", tensors, bytes)
end

local U8 <const>, HALF <const> = 1253376, 2804736 -- bytes of abacus in MXFP4

function TestInfo.test_folders()
  lu.assertEquals(info(MODEL), "checkpoint: tests/models/abacus\nkind: Hugging Face folder\n" .. DIMENSIONS
    .. "experts: MXFP4\n" .. counts({ "BF16", 63, HALF }, { "U8", 16, U8 })
    .. "tokenizer: tests/models/abacus/tokenizer.json\nstop ids: 1016 1015 1022\nprogram: abacus-cpu\nruns here: yes\n")
  lu.assertEquals(info(ORIGINAL), "checkpoint: " .. ORIGINAL .. "\nkind: folder of OpenAI's original layout\n"
    .. DIMENSIONS .. "experts: MXFP4\n" .. counts({ "BF16", 47, HALF }, { "U8", 16, U8 })
    .. "tokenizer: " .. ORIGINAL .. "/../tokenizer.json\nstop ids: 1016 1015 1022\n"
    .. "program: abacus-cpu\nruns here: yes\n")
end

function TestInfo.test_bin()
  local numbers = HALF // 2 + U8 // 17 * 32
  for name, dtype in pairs { plain = { "BF16", 2 }, wide = { "F32", 4, "FP32" } } do
    local path = string.format("%s/bin/%s.bin", ROOT, name)
    lu.assertEquals(info(path), string.format("checkpoint: %s\nkind: exporter's .bin in %s\n", path,
      dtype[3] or dtype[1]) .. DIMENSIONS .. "experts: unpacked\n" .. counts { dtype[1], 16, numbers * dtype[2] }
      .. "tokenizer: none\nstop ids: none, as no file has any\nprogram: abacus-cpu\n"
      .. string.format("runs here: no: %s: quantization_config: want mxfp4 for this getp, found none: ", path)
      .. string.format("generate one from it\nmake one that does: lua5.4 gen/main.lua --config %s --target cpu ", path)
      .. string.format("--name %s-cpu && ninja %s-cpu\n", name, name))
  end
end

function TestInfo.test_packed()
  local file = ROOT .. "/info.packed"
  run(abacus.PROGRAM, string.format("pack %s -o %s", MODEL, file))
  local bytes = #support.read(file)
  local start = string.format("checkpoint: %s\nkind: packed file of abacus-cpu\ntotal: %d bytes\n"
    .. "tokenizer: in the file\nstop ids: 1016 1015 1022\nchecksum: ", file, bytes)
  lu.assertEquals(info(file), start .. "right\nprogram: abacus-cpu\nruns here: yes\n" .. DIMENSIONS
    .. "experts: MXFP4\n")
  local text = support.read(file)
  write("info.packed", text:sub(1, -2) .. string.char(text:byte(-1) ~ 1))
  lu.assertStrContains(info(file), start .. file .. ": want ")
end

-- The command makes a program that runs the checkpoint, whatever characters are in its path.
function TestInfo.test_another_model()
  assert(os.execute(string.format("cp -r tests/models/odd_one_expert '%s/it'\\''s one'", ROOT)))
  local path = ROOT .. "/it's one"
  local quoted = support.quote(path)
  local out = info(path)
  lu.assertStrContains(out, "runs here: no: config.json: vocab_size: want 1024 for this getp, found ")
  local command = out:match("make one that does: ([^\n]*)\n")
  lu.assertEquals(command, string.format(
    "lua5.4 gen/main.lua --config %s --target cpu --name it-s-one-cpu && ninja it-s-one-cpu", quoted))
end

-- A config of another family has no dimensions and no command.
function TestInfo.test_another_family()
  write("llama/config.json", '{"model_type": "llama"}')
  write("llama/model.safetensors", layouts.safetensors { ["model.norm.weight"] = { dtype = "I64", shape = { 2 },
    bytes = ("x"):rep(16) } })
  local why = ROOT .. '/llama/config.json: model_type: want "gpt_oss"'
  local out = info(ROOT .. "/llama")
  lu.assertStrContains(out, "config: " .. why)
  lu.assertStrContains(out, "I64: 1 tensors, 16 bytes\ntotal: 1 tensors, 16 bytes\ntokenizer: none\nstop ids: none: ")
  lu.assertStrContains(out, "runs here: no: " .. why)
  lu.assertNotStrContains(out, "make one")
end

function TestInfo.test_flags()
  local refusals = {
    ["info"] = "CHECKPOINT: want a folder or a packed file, found none: see --help",
    ["info a b"] = 'CHECKPOINT: want one, found "a" and "b": see --help',
    ["info a --profile"] = "--profile: want a mode that runs steps, found info: see --help",
    ["info nowhere"] = "nowhere: No such file or directory",
  }
  for arguments, message in pairs(refusals) do
    local status, out, err = support.run(abacus.GETP .. " " .. arguments)
    lu.assertEquals({ status, out, err }, { 1, "", "getp: " .. message .. "\n" })
  end
end

-- ---- files of other kinds, damaged .bin ----

TestRefused = {}

-- info describes a .bin with a config that no model has; it refuses what is no checkpoint.
local function refused(path, message, info_too)
  for _, arguments in ipairs { path .. " -m logits -i " .. IDS .. " -o " .. OUT,
    info_too ~= false and "info " .. path or nil } do
    local status, _, err = support.run(abacus.GETP .. " " .. arguments)
    lu.assertEquals({ status, err }, { 1, "getp: " .. path .. ": " .. message .. "\n" }, arguments)
  end
end

local NO <const> = "want a checkpoint folder, a file of `getp pack` or an exporter's .bin, found "

function TestRefused.test_other_kinds()
  local torch = " as torch.save writes it: take the safetensors of the same model"
  local zeros, folder = ("\0"):rep(200), "name the folder that it lies in"
  for name, case in pairs {
    ["model.bin"] = { "GPT-OSS v1.0\0" .. zeros, "the model.bin of OpenAI's Metal program, which has other weights: "
      .. "take the folder original/ of the same model, or its Hugging Face folder" },
    ["x.gguf"] = { "GGUF\3\0\0\0" .. zeros,
      "a GGUF file of llama.cpp: take the Hugging Face folder that it was made from" },
    ["pytorch_model.bin"] = { "PK\3\4" .. zeros, "a zip file" .. torch },
    ["x.pt"] = { "\x80\2\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\2M\xe9\3.\x80\2}q", "a pickle" .. torch },
    ["tokenizer.json"] = { '{"version": "1.0", "model": {"type": "BPE"}}', "a JSON file: " .. folder },
    ["x.safetensors"] = { support.read(ORIGINAL .. "/model.safetensors"), "a safetensors file: " .. folder },
    ["text"] = { ("some words "):rep(20), "a file of another kind" },
    ["empty"] = { "", "a file of another kind" },
    ["zeros"] = { zeros, "a file of another kind" },
  } do
    refused(write("kinds/" .. name, case[1]), NO .. case[2])
  end
  refused("/dev/null", "want a folder or a regular file, found something else")
  refused(write("kinds/pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
    "want the file itself, found a git-lfs pointer to it: run `git lfs pull` in its folder")
end

function TestRefused.test_bin_headers()
  local bin = support.read(ROOT .. "/bin/plain.bin")
  -- The file with number `index` of its header, from 0, replaced.
  local function with(index, format, value)
    local patched = bin:sub(1, 4 * index) .. string.pack(format, value) .. bin:sub(4 * index + 5)
    return write("bad.bin", patched)
  end
  refused(with(11, "<i4", 150000), "rope_theta: want a float in the header, found the integer 150000: "
    .. "spell it 150000.0 in the exporter's config.json and export again")
  refused(with(12, "<f", -2), "rope_scaling_factor: want a positive number in the header, found -2")
  refused(with(14, "<f", 0 / 0), "swiglu_limit: want a positive number in the header, found -nan")
  refused(with(12, "<f", 0.5), "rope_scaling.factor: want a number from 1 to 1e+06, found 0.5", false)
  refused(with(3, "<i4", 9), "num_experts_per_tok: want at most the 8 experts, found 9", false)
  refused(with(8, "<i4", 0), NO .. "a file of another kind")
  for _, path in ipairs { write("bad.bin", bin:sub(1, -2)), write("bad.bin", bin .. "\0") } do
    refused(path, string.format("want %d bytes for BF16 or %d for FP32 by its header, found %d: "
      .. "it is cut off or damaged", #bin, 60 + 2 * (#bin - 60), #support.read(path)))
  end
  refused(write("bad.bin", bin:sub(1, 36) .. bin:sub(61)), "want a header of 15 numbers, found the 9 of the exporter's "
    .. "first version: export it again with a newer one")
end

function TestRefused.test_original_tensors()
  local cut = layouts.original(TENSORS)
  local function folder()
    write("cut/config.json", layouts.original_config(CONFIG))
    return write("cut/model.safetensors", layouts.safetensors(cut))
  end
  local path, arguments = ROOT .. "/cut", " -m logits -i " .. IDS .. " -o " .. OUT
  local function assert_refused(message)
    local status, _, err = support.run(abacus.GETP .. " " .. path .. arguments)
    lu.assertEquals({ status, err }, { 1, "getp: " .. folder() .. ": " .. message .. " in OpenAI's original layout\n" })
  end
  cut["block.1.attn.qkv.weight"] = cut["block.1.attn.out.weight"]
  folder()
  assert_refused "block.1.attn.qkv.weight: want shape [768, 192], found [192, 512]"
  cut["block.1.attn.qkv.weight"] = nil
  folder()
  assert_refused "block.1.attn.qkv.weight: want shape [768, 192], found no such tensor"
end

os.exit(lu.LuaUnit.run())
