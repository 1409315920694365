-- A bad checkpoint: getp refuses it with one line that names the file, exit status 1, and no output file. It never
-- crashes or hangs.
-- luacheck: globals TestConfig TestWeights TestPointers TestBits TestTokenizer TestFiles

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lfs = require "lfs"
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local refusal = require "tests.getp.refusal"
local support = require "tests.support"

local MODEL, TOKENIZER, OUT, ANSWER = abacus.MODEL, abacus.TOKENIZER, refusal.OUT, refusal.ANSWER
local run, job, refused, refused_like = refusal.run, refusal.job, refusal.refused, refusal.refused_like
local assert_no_output, remove_output = refusal.assert_no_output, refusal.remove_output
local BROKEN = support.scratch .. "/broken" -- as a Lua pattern it matches itself
local GENERATE = "generate one from this checkpoint's config.json"

-- ---- the checkpoint folder and its config.json ----

TestConfig = { setUp = remove_output }

local CONFIG = support.read(MODEL .. "/config.json")

local function broken(changes) return support.folder("broken", MODEL, changes) end

local function config_with(change)
  local config = json.decode(CONFIG)
  change(config)
  return broken { ["config.json"] = json.encode(config) }
end

local function set(key, value)
  return function(config) config[key] = value end
end

local function set_rope(key, value)
  return function(config) config.rope_scaling[key] = value end
end

function TestConfig.test_a_good_folder_is_accepted()
  lu.assertEquals(run(job(broken {})), 0)
  lu.assertEquals(support.read(OUT), ANSWER)
end

function TestConfig.test_folders()
  refused(job "nowhere", "nowhere: No such file or directory")
  refused(job(TOKENIZER), TOKENIZER .. ": want a checkpoint folder, a file of `getp pack` or an exporter's .bin, "
    .. "found a JSON file: name the folder that it lies in")
  local empty = support.folder("empty", MODEL,
    { ["config.json"] = false, ["generation_config.json"] = false, ["model.safetensors"] = false,
      ["tokenizer.json"] = false })
  refused(job(empty), empty .. "/config.json: No such file or directory")
end

function TestConfig.test_not_json()
  local path = BROKEN .. "/config%.json"
  refused_like(job(broken { ["config.json"] = CONFIG:sub(1, #CONFIG // 2) }),
    path .. ":%d+: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = "" }), path .. ":1: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = "\0\1\2" }), path .. ": want JSON, found a byte 0")
  refused_like(job(broken { ["config.json"] = ("["):rep(100000) }), path .. ":1: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = "[]" }), path .. ": want a JSON object, found an array")
  local folder = broken { ["config.json"] = false }
  lfs.mkdir(folder .. "/config.json")
  refused_like(job(folder), path .. ": want a regular file, found something else")
  assert_no_output("not JSON")
end

function TestConfig.test_other_models()
  for name in lfs.dir("tests/models") do
    if name ~= "abacus" and name:find("^[^.]") then
      local other = json.decode(support.read("tests/models/" .. name .. "/config.json"))
      refused(job("tests/models/" .. name), string.format(
        "config.json: vocab_size: want 1024 for this getp, found %d: %s", other.vocab_size, GENERATE))
    end
  end
  assert_no_output("other models")
end

-- { change, key, found, wanted }
local DIFFERENT = {
  { set("vocab_size", 1025), "vocab_size", "1025", "1024" },
  { set("hidden_size", 224), "hidden_size", "224", "192" },
  { set("intermediate_size", 64), "intermediate_size", "64", "128" },
  { function(config)
    config.num_hidden_layers = 5
    config.layer_types[5] = "sliding_attention"
  end, "num_hidden_layers", "5", "4" },
  { set("num_attention_heads", 4), "num_attention_heads", "4", "8" },
  { set("num_key_value_heads", 4), "num_key_value_heads", "4", "2" },
  { set("head_dim", 32), "head_dim", "32", "64" },
  { set("num_local_experts", 16), "num_local_experts", "16", "8" },
  { function(config) config.num_experts_per_tok, config.experts_per_token = 3, 3 end, "num_experts_per_tok", "3", "2" },
  { set("rms_norm_eps", 1e-6), "rms_norm_eps", "1e-06", "1e-05" },
  { set("swiglu_limit", 6.5), "swiglu_limit", "6.5", "7" },
  { set("swiglu_alpha", 1.7), "swiglu_alpha", "1.7", "1.702" },
  { set("quantization_config", nil), "quantization_config", "none", "mxfp4" },
  { function(config) config.layer_types[2] = "sliding_attention" end, "layer_types[1]", "sliding_attention",
    "full_attention" },
  { set("sliding_window", 33), "sliding_window", "33", "32" },
  { set("attention_bias", false), "attention_bias", "false", "true" },
  { set("tie_word_embeddings", true), "tie_word_embeddings", "true", "false" },
  { set("rope_theta", 10001), "rope_theta", "10001", "10000" },
  { set_rope("rope_type", "default"), "rope_scaling.rope_type", "default", "yarn" },
  { set_rope("factor", 8), "rope_scaling.factor", "8", "4" },
  { set_rope("beta_fast", 16), "rope_scaling.beta_fast", "16", "32" },
  { set_rope("beta_slow", 2), "rope_scaling.beta_slow", "2", "1" },
  { set_rope("original_max_position_embeddings", 256), "rope_scaling.original_max_position_embeddings", "256", "128" },
  { set_rope("truncate", true), "rope_scaling.truncate", "true", "false" },
  { set_rope("attention_factor", 2), "rope_scaling.attention_factor", "2", "1.13862944" },
}

function TestConfig.test_each_dimension()
  for _, case in ipairs(DIFFERENT) do
    local change, key, found, wanted = table.unpack(case)
    refused(job(config_with(change)),
      string.format("config.json: %s: want %s for this getp, found %s: %s", key, wanted, found, GENERATE))
  end
  assert_no_output("each dimension")
end

function TestConfig.test_values_that_no_model_has()
  local path = BROKEN .. "/config.json: "
  local size = "hidden_size: want an integer from 1 to 131072, found "
  for _, case in ipairs { { "192", '"192"' }, { 0, "0" }, { -192, "-192" }, { 2147483648, "2147483648" },
    { json.null, "null" }, { true, "true" } } do
    refused(job(config_with(set("hidden_size", case[1]))), path .. size .. case[2])
  end
  refused(job(config_with(set("hidden_size", nil))), path .. size .. "nothing")
  refused(job(config_with(set("model_type", "llama"))), path .. 'model_type: want "gpt_oss", or ' ..
    'the keys of OpenAI\'s original config, found "llama"')
  refused(job(config_with(set_rope("rope_type", "llama3"))),
    path .. 'rope_scaling.rope_type: want yarn or default, found "llama3"')
  refused_like(job(broken { ["generation_config.json"] = '{"eos_token_id": [1016, 1024]}' }),
    BROKEN .. "/generation_config%.json: eos_token_id: want token ids below 1024, .+, found 1024")
  refused_like(job(broken { ["generation_config.json"] = "{" }),
    BROKEN .. "/generation_config%.json:1: want JSON, found an error: .+")
  assert_no_output("values")
end

-- ---- model.safetensors ----

TestWeights = { setUp = remove_output }

local FILE = BROKEN .. "/model.safetensors"
local WEIGHTS = support.read(MODEL .. "/model.safetensors")
local HEADER_BYTES = string.unpack("<I8", WEIGHTS)
local HEADER = WEIGHTS:sub(9, 8 + HEADER_BYTES)
local DATA = WEIGHTS:sub(9 + HEADER_BYTES)

local function weights(bytes) return job(broken { ["model.safetensors"] = bytes }) end

-- The weights with a piece of the header replaced. The piece must be in it once.
local function header_with(piece, by)
  local first, last = HEADER:find(piece, 1, true)
  assert(first and not HEADER:find(piece, last + 1, true), piece)
  local header = HEADER:sub(1, first - 1) .. by .. HEADER:sub(last + 1)
  return weights(string.pack("<I8", #header) .. header .. DATA)
end

function TestWeights.test_missing()
  refused(weights(false), BROKEN .. ": want model.safetensors or model.safetensors.index.json in it, " ..
    "found neither")
  local folder = broken { ["model.safetensors"] = false }
  lfs.mkdir(folder .. "/model.safetensors")
  refused(job(folder), FILE .. ": want a regular file, found something else")
  assert_no_output("missing")
end

function TestWeights.test_truncated()
  for _, bytes in ipairs { 0, 7 } do
    refused(weights(WEIGHTS:sub(1, bytes)),
      string.format("%s: want the 8 bytes of a header's length, found %d bytes", FILE, bytes))
  end
  for _, bytes in ipairs { 8, 8 + HEADER_BYTES // 2, 7 + HEADER_BYTES } do
    refused(weights(WEIGHTS:sub(1, bytes)), string.format(
      "%s: want a header of at most %d bytes, found a length of %d", FILE, bytes - 8, HEADER_BYTES))
  end
  for _, bytes in ipairs { 8 + HEADER_BYTES, #WEIGHTS // 2, #WEIGHTS - 1 } do
    local data = bytes - 8 - HEADER_BYTES
    refused_like(weights(WEIGHTS:sub(1, bytes)), string.format(
      "%s: [%%w_.]+: want data_offsets within %d bytes of data, found %%[%%d+, %%d+%%]", FILE, data))
  end
  assert_no_output("truncated")
end

function TestWeights.test_too_long()
  refused(weights(WEIGHTS .. "\0"),
    string.format("%s: want %d bytes of data for its tensors, found %d", FILE, #DATA, #DATA + 1))
  assert_no_output("too long")
end

function TestWeights.test_lying_offsets()
  local head = 'lm_head.weight":{"dtype":"BF16","shape":[1024,192],"data_offsets":[0,393216]'
  local with = 'lm_head.weight":{"dtype":"BF16","shape":[1024,192],"data_offsets":'
  local path = FILE .. ": lm_head.weight: "
  refused(header_with(head, with .. "[9999999999,10000393215]"), string.format(
    "%swant data_offsets within %d bytes of data, found [9999999999, 10000393215]", path, #DATA))
  refused(header_with(head, with .. "[-393216,0]"),
    path .. "want data_offsets of a begin and an end, found [-393216,0]")
  refused(header_with(head, with .. "[393216,0]"),
    path .. "want data_offsets of a begin and an end, found [393216,0]")
  refused(header_with(head, with .. "[0]"), path .. "want data_offsets of a begin and an end, found [0]")
  refused(header_with(head, with .. "[0,393214]"),
    path .. "want 393216 bytes for its dtype and shape, found 393214 in its data_offsets")
  refused_like(header_with(head, with .. "[0,99999999999999999999]"),
    FILE .. ": want JSON in its header, found an error: .+")
  refused_like(header_with(head, with .. "[393216,786432]"),
    FILE .. ": [%w_.]+: want it to begin at data byte 0, found 393216")
  refused_like(header_with(head, with .. "[2,393218]"), FILE .. ": [%w_.]+: want it to begin at data byte 0, found 2")
  assert_no_output("lying offsets")
end

function TestWeights.test_lying_dtypes_and_shapes()
  local head = 'lm_head.weight":{"dtype":"BF16","shape":[1024,192]'
  local path = FILE .. ": lm_head.weight: "
  for _, dtype in ipairs { "I16", "U16", "I4", "bf16", "" } do
    refused(header_with(head, 'lm_head.weight":{"dtype":"' .. dtype .. '","shape":[1024,192]'),
      path .. "want dtype BF16, F16 or F32, found " .. dtype)
  end
  refused(header_with(head, 'lm_head.weight":{"dtype":"F32","shape":[1024,192]'),
    path .. "want 786432 bytes for its dtype and shape, found 393216 in its data_offsets")
  refused(header_with(head, 'lm_head.weight":{"dtype":"F64","shape":[1024,192]'),
    path .. "want 1572864 bytes for its dtype and shape, found 393216 in its data_offsets")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[192,1024]'),
    path .. "want shape [1024, 192], found [192, 1024]")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[196608]'),
    path .. "want shape [1024, 192], found [196608]")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[-1024,-192]'),
    path .. "want a shape of sizes that fit in memory, found [-1024,-192]")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[4611686018427387904,4]'),
    path .. "want a shape of sizes that fit in memory, found [4611686018427387904,4]")
  assert_no_output("lying dtypes and shapes")
end

function TestWeights.test_names()
  refused(header_with('"lm_head.weight":', '"lm_head.weights":'),
    FILE .. ": lm_head.weight: want shape [1024, 192], found no such tensor")
  refused_like(header_with('"model.norm.weight":', '"lm_head.weight":'),
    FILE .. ": want JSON in its header, found an error: duplicate object key.*")
  refused(weights(string.pack("<I8", 2) .. "[]" .. DATA), FILE .. ": want a header that begins with {, found 0x5b")
  assert_no_output("names")
end

-- The two shards of a checkpoint without an index, and what is said of a folder that lacks some.
function TestWeights.test_shards_without_an_index()
  local shard = { "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors" }
  local split = json.decode(HEADER)["model.norm.weight"].data_offsets[2] -- a border between tensors
  local headers, offsets = { {}, {} }, { 0, split }
  for name, entry in pairs(json.decode(HEADER)) do
    local part = name ~= "__metadata__" and entry.data_offsets[1] >= split and 2 or 1
    if name ~= "__metadata__" then
      for i = 1, 2 do entry.data_offsets[i] = entry.data_offsets[i] - offsets[part] end
      headers[part][name] = entry
    end
  end
  local data, changes = { DATA:sub(1, split), DATA:sub(split + 1) }, { ["model.safetensors"] = false }
  for i = 1, 2 do
    local header = json.encode(headers[i])
    changes[shard[i]] = string.pack("<I8", #header) .. header .. data[i]
  end
  lu.assertEquals(run(job(broken(changes))), 0)
  lu.assertEquals(support.read(OUT), ANSWER)
  remove_output()
  changes[shard[1]] = nil
  refused(job(broken(changes)), BROKEN .. ": want 2 shards in it, found 1 of them, without " .. shard[1])
  changes["a.safetensors"], changes["b.safetensors"], changes[shard[2]] = "", "", nil
  refused(job(broken(changes)), BROKEN .. ": want model.safetensors or model.safetensors.index.json in it, "
    .. "found a.safetensors, b.safetensors")
  assert_no_output("shards")
end

function TestWeights.test_index_with_a_missing_shard()
  local index = '{"weight_map":{"lm_head.weight":"%s"}}'
  local changes = { ["model.safetensors"] = false }
  changes["model.safetensors.index.json"] = index:format("model-00001-of-00002.safetensors")
  refused(job(broken(changes)),
    BROKEN .. "/model-00001-of-00002.safetensors: No such file or directory")
  changes["model.safetensors.index.json"] = index:format("../abacus/model.safetensors")
  refused(job(broken(changes)), BROKEN .. "/model.safetensors.index.json: lm_head.weight: " ..
    'want the name of a file in the folder, found "../abacus/model.safetensors"')
  assert_no_output("index")
end

-- ---- pointers of git-lfs ----

TestPointers = { setUp = remove_output }

local POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" .. ("07"):rep(32) .. "\nsize 4792272488\n"
local POINTS = ": want the file itself, found a git-lfs pointer to it: run `git lfs pull` in its folder"

function TestPointers.test_every_file_of_a_checkpoint()
  for _, name in ipairs { "config.json", "generation_config.json", "tokenizer.json", "model.safetensors" } do
    refused(job(broken { [name] = POINTER }), BROKEN .. "/" .. name .. POINTS)
  end
  local index = "model.safetensors.index.json"
  local shard = "model-00001-of-00001.safetensors"
  refused(job(broken { ["model.safetensors"] = false, [index] = POINTER }), BROKEN .. "/" .. index .. POINTS)
  refused(job(broken { ["model.safetensors"] = false, [shard] = POINTER }), BROKEN .. "/" .. shard .. POINTS)
  refused(job(broken { ["model.safetensors"] = false, [shard] = POINTER,
    [index] = '{"weight_map":{"lm_head.weight":"' .. shard .. '"}}' }), BROKEN .. "/" .. shard .. POINTS)
  assert_no_output("pointers")
end

function TestPointers.test_other_files()
  local packed = support.write("pointer", POINTER)
  refused(job(packed), packed .. POINTS)
  refused(job(MODEL .. " -z " .. packed), packed .. POINTS)
  refused("decode -z " .. packed .. " -i x", packed .. POINTS)
end

-- A text that only begins like a pointer is what it is, and so is a prompt that is one.
function TestPointers.test_what_is_none()
  refused_like(job(broken { ["config.json"] = POINTER:sub(1, 41) }),
    BROKEN .. "/config%.json:1: want JSON, found an error: .+")
  lu.assertEquals(run(string.format("%s -f %s", MODEL, support.write("pointer", POINTER))), 0)
end

-- ---- damage of single bits ----

TestBits = { setUp = remove_output }

-- Flips one bit of a file at a time and runs the job: it must exit with 1 and one line, or with 0 and an output file
-- that `harmless` accepts. Each position is { byte, bit }.
local function sweep(name, positions, harmless)
  local folder = broken { [name] = support.read(MODEL .. "/" .. name) }
  local file = assert(io.open(folder .. "/" .. name, "r+b"))
  file:setvbuf("no")
  for _, at in ipairs(positions) do
    file:seek("set", at[1])
    local byte = file:read(1):byte()
    file:seek("set", at[1])
    file:write(string.char(byte ~ 1 << at[2]))
    local status, _, err = run(job(folder))
    local where = string.format("%s, byte %d, bit %d", name, at[1], at[2])
    lu.assertTrue(status == 0 or status == 1, where .. ": status " .. status)
    if status == 1 then
      refusal.assert_one_line(err, where)
    else
      harmless(support.read(OUT), where)
    end
    remove_output()
    file:seek("set", at[1])
    file:write(string.char(byte))
  end
  file:close()
end

-- `count` positions spread over the bytes from `first` to before `last`.
local function spread(first, last, count)
  local positions = {}
  for i = 1, count do positions[i] = { first + (last - first) * (i - 1) // count, i * 3 % 8 } end
  return positions
end

local function same_answer(output, where) lu.assertEquals(output, ANSWER, where) end

function TestBits.test_length_of_the_header()
  local positions = {}
  for bit = 0, 63 do positions[#positions + 1] = { bit // 8, bit % 8 } end
  sweep("model.safetensors", positions, same_answer)
end

function TestBits.test_header() sweep("model.safetensors", spread(8, 8 + HEADER_BYTES, 151), same_answer) end

function TestBits.test_config() sweep("config.json", spread(0, #CONFIG, 97), same_answer) end

-- A tokenizer with another token or merge is still a tokenizer, so any ids will do.
function TestBits.test_tokenizer()
  sweep("tokenizer.json", spread(0, lfs.attributes(TOKENIZER, "size"), 61),
    function(output, where) lu.assertStrMatches(output, "[%d ]+\n", nil, nil, where) end)
end

-- ---- tokenizer.json ----

TestTokenizer = { setUp = remove_output }

local TOKENIZER_TEXT = support.read(TOKENIZER)
local TOKENIZER_PATTERN = BROKEN .. "/tokenizer%.json"

function TestTokenizer.test_missing_or_cut_off()
  refused_like(job(broken { ["tokenizer.json"] = false }), TOKENIZER_PATTERN .. ": .*No such file or directory")
  for _, bytes in ipairs { 0, 1, 1000, #TOKENIZER_TEXT // 2, #TOKENIZER_TEXT - 2 } do
    refused_like(job(broken { ["tokenizer.json"] = TOKENIZER_TEXT:sub(1, bytes) }), TOKENIZER_PATTERN .. ".+")
  end
  refused_like(job(broken { ["tokenizer.json"] = "{}" }), TOKENIZER_PATTERN .. ": .+")
  refused_like(job(MODEL .. " -z nowhere"), "nowhere: .*No such file or directory")
  refused(job(MODEL .. " -z tests"), "tests/tokenizer.json: No such file or directory")
  assert_no_output("tokenizer")
end

function TestTokenizer.test_larger_vocabulary()
  local tokenizer = json.decode(TOKENIZER_TEXT)
  local added = tokenizer.added_tokens
  added[#added + 1] = { id = 1024, content = "<|one_too_many|>", special = true, single_word = false, lstrip = false,
    rstrip = false, normalized = false }
  refused(job(broken { ["tokenizer.json"] = json.encode(tokenizer) }),
    BROKEN .. "/tokenizer.json: want ids below the model's vocab_size 1024, found 1024")
  assert_no_output("larger vocabulary")
end

function TestTokenizer.test_folders_and_packed_files()
  local empty = support.folder("empty", MODEL, { ["tokenizer.json"] = false })
  local packed = support.scratch .. "/untokenized.packed"
  lu.assertEquals(support.run(string.format("%s pack %s -o %s", abacus.GETP, empty, packed)), 0)
  refused("decode " .. empty .. " -i x", empty .. "/tokenizer.json: No such file or directory")
  local none = packed .. ": want a tokenizer.json in it, found none: name another with -z"
  refused("decode " .. packed .. " -i x", none)
  refused(job(MODEL .. " -z " .. packed), none)
  os.remove(packed)
end

-- ---- what is no regular file, and what is too large ----

TestFiles = { setUp = remove_output, tearDown = function() os.execute("rm -rf " .. BROKEN) end }

local NAMES <const> = { "config.json", "generation_config.json", "tokenizer.json", "model.safetensors" }

-- A folder of which a command makes one file.
local function folder_with(name, command)
  local folder = broken { [name] = false }
  local path = folder .. "/" .. name
  assert(os.execute(command:gsub("PATH", path)))
  return folder, path
end

-- A file that is there but cannot be opened is not absent: without generation_config.json, outputs would end elsewhere.
function TestFiles.test_links_to_nothing()
  for _, name in ipairs(NAMES) do
    local folder, path = folder_with(name, "ln -s /nonexistent/blob PATH")
    refused_like(job(folder), path .. ": .+")
    refused_like("pack " .. folder .. " -o " .. OUT, path .. ": .+")
  end
  local folder, path = folder_with("generation_config.json", "ln -s /nonexistent/blob PATH")
  refused(job(folder), path .. ": want a regular file, found a link to nothing")
  folder, path = folder_with("tokenizer.json", "ln -s tokenizer.json PATH")
  refused("pack " .. folder .. " -o " .. OUT, path .. ": Too many levels of symbolic links")
  assert_no_output("links")
end

function TestFiles.test_pipes()
  for _, name in ipairs(NAMES) do
    local folder, path = folder_with(name, "mkfifo PATH")
    refused(job(folder), path .. ": want a regular file, found something else")
    if name == "tokenizer.json" then
      for _, where in ipairs { folder, path } do
        refused("decode -z " .. where .. " -i x", path .. ": want a regular file, found something else")
      end
    end
  end
end

function TestFiles.test_large_files()
  local most = { ["tokenizer.json"] = 64 << 20, ["config.json"] = 8 << 20, ["generation_config.json"] = 8 << 20 }
  for name, bytes in pairs(most) do
    local folder, path = folder_with(name, "truncate -s " .. bytes + 1 .. " PATH")
    refused(job(folder), string.format("%s: want at most %d bytes, found %d", path, bytes, bytes + 1))
    folder, path = folder_with(name, "truncate -s " .. bytes .. " PATH")
    refused_like(job(folder), path .. ":.* want JSON, found .+")
  end
  local many = support.write("many.json", "[" .. ("{},"):rep(4 << 20) .. "{}]")
  refused("decode -i x -z " .. many, many .. ": want at most 4194304 values, found 8388610")
  os.remove(many)
  refused(MODEL .. " -m chat -i x --tools /dev/zero", "/dev/zero: want at most 8388608 bytes, found more")
end

function TestTokenizer.test_chat_without_its_tokens()
  local folder = broken { ["tokenizer.json"] = TOKENIZER_TEXT:gsub("<|start|>", "<|stort|>") }
  refused(folder .. " -m chat </dev/null",
    "chat: want a tokenizer of the harmony format (gpt-oss), found one without <|start|>")
end

os.exit(lu.LuaUnit.run())
