-- Bad input to getp: one clear line on stderr that names the place, exit status 1, never a crash, a
-- hang, or an output file that is partial or wrong.
-- luacheck: globals TestConfig TestWeights TestBits TestTokenizer TestPrompts TestIds TestOutput TestFlags TestSignals

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lfs = require "lfs"
local lu = require "luaunit"
local support = require "tests.support"

local GETP = "timeout 20 " .. support.getp("abacus-cpu")
local MODEL = "tests/models/abacus"
local TOKENIZER = MODEL .. "/tokenizer.json"
local OUT = support.scratch .. "/bad.ids"
local BROKEN = support.scratch .. "/broken" -- a Lua pattern for itself, too
local GENERATE = "generate one from this checkpoint's config.json"

local function run(arguments) return support.run(GETP .. " " .. arguments) end

-- Whether stderr is one line of ours.
local function assert_one_line(err, where)
  lu.assertStrMatches(err, "getp: [^\n]+\n", nil, nil, where .. ": " .. err)
end

local function assert_no_output(where)
  for _, ending in ipairs { "", ".part", ".new" } do
    lu.assertFalse(support.exists(OUT .. ending), where .. ": left " .. OUT .. ending)
  end
end

local function refused(arguments, message)
  local status, _, err = run(arguments)
  lu.assertEquals({ err, status }, { "getp: " .. message .. "\n", 1 }, arguments)
end

-- As refused, for a message that is in part not ours: a Lua pattern for the whole of it.
local function refused_like(arguments, pattern)
  local status, _, err = run(arguments)
  assert_one_line(err, arguments)
  lu.assertStrMatches(err, "getp: " .. pattern .. "\n", nil, nil, arguments .. ": " .. err)
  lu.assertEquals(status, 1, arguments)
end

local ONE = support.prompts("one.txt", { "0 * 4 =" })
local ANSWER = "220 15 1016\n"

local function job(checkpoint) return string.format("%s -m getp -i %s -o %s", checkpoint, ONE, OUT) end

local function remove_output()
  for _, ending in ipairs { "", ".part", ".new" } do os.remove(OUT .. ending) end
end

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

function TestConfig.test_a_good_folder_is_taken()
  lu.assertEquals(run(job(broken {})), 0)
  lu.assertEquals(support.read(OUT), ANSWER)
end

function TestConfig.test_folders()
  local want = ": want a checkpoint folder with config.json, safetensors and tokenizer.json, "
    .. "or a file that getp pack wrote"
  refused(job "nowhere", "nowhere" .. want)
  refused(job(TOKENIZER), TOKENIZER .. want)
  refused(job "''", want)
  local empty = support.folder("empty", MODEL,
    { ["config.json"] = false, ["generation_config.json"] = false, ["model.safetensors"] = false,
      ["tokenizer.json"] = false })
  refused(job(empty), empty .. "/config.json: No such file or directory")
end

function TestConfig.test_not_json()
  local place = BROKEN .. "/config%.json"
  refused_like(job(broken { ["config.json"] = CONFIG:sub(1, #CONFIG // 2) }),
    place .. ":%d+: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = "" }), place .. ":1: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = "\0\1\2" }), place .. ":1: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = ("["):rep(100000) }), place .. ":1: want JSON, found an error: .+")
  refused_like(job(broken { ["config.json"] = "[]" }), place .. ": want a JSON object, found an array")
  local folder = broken { ["config.json"] = false }
  lfs.mkdir(folder .. "/config.json")
  refused_like(job(folder), place .. ": want a regular file, found something else")
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
  { set("hidden_size", 193), "hidden_size", "193", "192" },
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
  local place = BROKEN .. "/config.json: "
  local size = "hidden_size: want an integer from 1 to 2147483647, found "
  for _, case in ipairs { { "192", '"192"' }, { 0, "0" }, { -192, "-192" }, { 2147483648, "2147483648" },
    { json.null, "nothing" }, { true, "true" } } do
    refused(job(config_with(set("hidden_size", case[1]))), place .. size .. case[2])
  end
  refused(job(config_with(set("hidden_size", nil))), place .. size .. "nothing")
  refused(job(config_with(set("model_type", "llama"))), place .. 'model_type: want "gpt_oss", found "llama"')
  refused(job(config_with(set_rope("rope_type", "llama3"))),
    place .. 'rope_scaling.rope_type: want yarn or default, found "llama3"')
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

-- The weights with a piece of the header, which must be there once, replaced.
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
  local place = FILE .. ": lm_head.weight: "
  refused(header_with(head, with .. "[9999999999,10000393215]"), string.format(
    "%swant data_offsets within %d bytes of data, found [9999999999, 10000393215]", place, #DATA))
  refused(header_with(head, with .. "[-393216,0]"),
    place .. "want data_offsets of a begin and an end, found [-393216,0]")
  refused(header_with(head, with .. "[393216,0]"),
    place .. "want data_offsets of a begin and an end, found [393216,0]")
  refused(header_with(head, with .. "[0]"), place .. "want data_offsets of a begin and an end, found [0]")
  refused(header_with(head, with .. "[0,393214]"),
    place .. "want 393216 bytes for its dtype and shape, found 393214 in its data_offsets")
  refused_like(header_with(head, with .. "[0,99999999999999999999]"),
    FILE .. ": want JSON in its header, found an error: .+")
  refused_like(header_with(head, with .. "[393216,786432]"),
    FILE .. ": [%w_.]+: want it to begin at data byte 0, found 393216")
  refused_like(header_with(head, with .. "[2,393218]"), FILE .. ": [%w_.]+: want it to begin at data byte 0, found 2")
  assert_no_output("lying offsets")
end

function TestWeights.test_lying_dtypes_and_shapes()
  local head = 'lm_head.weight":{"dtype":"BF16","shape":[1024,192]'
  local place = FILE .. ": lm_head.weight: "
  refused(header_with(head, 'lm_head.weight":{"dtype":"F16","shape":[1024,192]'), "lm_head.weight: want dtype BF16, " ..
    'found F16: generate a getp from this checkpoint\'s config.json with the right "dtype"')
  refused(header_with(head, 'lm_head.weight":{"dtype":"F32","shape":[1024,192]'),
    place .. "want 786432 bytes for its dtype and shape, found 393216 in its data_offsets")
  refused(header_with(head, 'lm_head.weight":{"dtype":"I4","shape":[1024,192]'),
    place .. 'want a dtype of U8, F16, BF16 or F32, found "I4"')
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[192,1024]'),
    place .. "want shape [1024, 192], found [192, 1024]")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[196608]'),
    place .. "want shape [1024, 192], found [196608]")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[-1024,-192]'),
    place .. "want a shape of sizes that fit in memory, found [-1024,-192]")
  refused(header_with(head, 'lm_head.weight":{"dtype":"BF16","shape":[4611686018427387904,4]'),
    place .. "want a shape of sizes that fit in memory, found [4611686018427387904,4]")
  assert_no_output("lying dtypes and shapes")
end

function TestWeights.test_names()
  refused(header_with('"lm_head.weight":', '"lm_head.weights":'),
    FILE .. ": lm_head.weight: want shape [1024, 192], found no such tensor")
  refused_like(header_with('"model.norm.weight":', '"lm_head.weight":'),
    FILE .. ": want JSON in its header, found an error: duplicate object key.*")
  refused(weights(string.pack("<I8", 2) .. "[]" .. DATA), FILE .. ": want a JSON object in its header, found an array")
  assert_no_output("names")
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

-- ---- damage of single bits ----

TestBits = { setUp = remove_output }

-- Flips the bits of a file one after the other and runs the job each time: it must exit by itself with
-- 0 or one line; `harmless(output)` judges the output of a run that exits with 0.
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
      assert_one_line(err, where)
    else
      harmless(support.read(OUT), where)
    end
    remove_output()
    file:seek("set", at[1])
    file:write(string.char(byte))
  end
  file:close()
end

-- `count` places spread over the bytes from `first` to before `last`.
local function spread(first, last, count)
  local places = {}
  for i = 1, count do places[i] = { first + (last - first) * (i - 1) // count, i * 3 % 8 } end
  return places
end

local function same_answer(output, where) lu.assertEquals(output, ANSWER, where) end

function TestBits.test_length_of_the_header()
  local places = {}
  for bit = 0, 63 do places[#places + 1] = { bit // 8, bit % 8 } end
  sweep("model.safetensors", places, same_answer)
end

function TestBits.test_header() sweep("model.safetensors", spread(8, 8 + HEADER_BYTES, 151), same_answer) end

function TestBits.test_config() sweep("config.json", spread(0, #CONFIG, 97), same_answer) end

-- A tokenizer with another piece or merge is a tokenizer: only that the run ends well.
function TestBits.test_tokenizer()
  sweep("tokenizer.json", spread(0, lfs.attributes(TOKENIZER, "size"), 61),
    function(output, where) lu.assertStrMatches(output, "[%d ]+\n", nil, nil, where) end)
end

-- ---- tokenizer.json ----

TestTokenizer = { setUp = remove_output }

local TOKENIZER_TEXT = support.read(TOKENIZER)
local TOKENIZER_PLACE = BROKEN .. "/tokenizer%.json"

function TestTokenizer.test_missing_or_cut_off()
  refused_like(job(broken { ["tokenizer.json"] = false }), TOKENIZER_PLACE .. ": .*No such file or directory")
  for _, bytes in ipairs { 0, 1, 1000, #TOKENIZER_TEXT // 2, #TOKENIZER_TEXT - 2 } do
    refused_like(job(broken { ["tokenizer.json"] = TOKENIZER_TEXT:sub(1, bytes) }), TOKENIZER_PLACE .. ".+")
  end
  refused_like(job(broken { ["tokenizer.json"] = "{}" }), TOKENIZER_PLACE .. ": .+")
  refused_like(job(MODEL .. " -z nowhere"), "nowhere: .*No such file or directory")
  refused_like(job(MODEL .. " -z /tmp"), "/tmp: .+")
  assert_no_output("tokenizer")
end

function TestTokenizer.test_larger_vocabulary()
  local tokenizer = json.decode(TOKENIZER_TEXT)
  local added = tokenizer.added_tokens
  added[#added + 1] = { id = 1024, content = "<|one_too_many|>", special = true, single_word = false, lstrip = false,
    rstrip = false, normalized = false }
  refused(job(broken { ["tokenizer.json"] = json.encode(tokenizer) }),
    "the tokenizer has ids up to 1024, the model's vocab_size is 1024")
  assert_no_output("larger vocabulary")
end

function TestTokenizer.test_chat_without_its_tokens()
  local folder = broken { ["tokenizer.json"] = TOKENIZER_TEXT:gsub("<|start|>", "<|stort|>") }
  refused(folder .. " -m chat </dev/null", "chat: want a tokenizer with the special token <|start|>, found none")
end

-- ---- files of prompts ----

TestPrompts = { setUp = remove_output }

local PROMPTS = support.scratch .. "/bad.txt"

-- A getp job on a file of prompts with this text.
local function prompts(text)
  return string.format("%s -m getp -i %s -o %s", MODEL, support.write("bad.txt", text), OUT)
end

function TestPrompts.test_no_file()
  local on = MODEL .. " -m getp -o " .. OUT .. " -i "
  refused(on .. "nowhere", "nowhere: No such file or directory")
  refused(on .. "tests", "tests: Is a directory")
  refused(on .. "''", "-i: empty: want a text or the name of a file; see --help")
  assert_no_output("no file")
end

function TestPrompts.test_number()
  for _, line in ipairs { "", "x", "-1", "+1", " 1", "1 ", "1x", "0x1", "1.0", "2147483648", "4294967297",
    "99999999999999999999", "\r", "\0", "\xEF\xBB\xBF1" } do
    refused(prompts(line .. "\n0 * 4 =\n"), PROMPTS .. ":1: want the number of prompts")
  end
  refused(prompts(""), PROMPTS .. ":1: want the number of prompts")
  assert_no_output("number")
end

function TestPrompts.test_fewer_prompts_than_the_number()
  refused(prompts "1\n", PROMPTS .. ": want 1 prompts, found 0")
  refused(prompts "3\n0 * 4 =\n1 + 1 =", PROMPTS .. ": want 3 prompts, found 2")
  refused(prompts "2147483647\n0 * 4 =\n", PROMPTS .. ": want 2147483647 prompts, found 1")
  assert_no_output("fewer prompts")
end

function TestPrompts.test_text()
  refused(prompts "2\n0 * 4 =\n\n", PROMPTS .. ":3: empty: want at least one character")
  refused(prompts "1\nab\0c\n", PROMPTS .. ":2: byte 3 is NUL: want UTF-8 text")
  local bad = { overlong = "\xC0\x80", ["overlong of three"] = "\xE0\x80\xAF", surrogate = "\xED\xA0\x80",
    ["lone continuation"] = "\x80", ["cut off"] = "\xE2\x82", ["beyond 10FFFF"] = "\xF4\x90\x80\x80", latin = "\xFF" }
  for name, bytes in pairs(bad) do
    local status, _, err = run(prompts("2\n0 * 4 =\nab" .. bytes .. "\n"))
    lu.assertEquals({ err, status }, { "getp: " .. PROMPTS .. ":3: byte 3 is not UTF-8\n", 1 }, name)
  end
  assert_no_output("text")
end

function TestPrompts.test_a_line_of_a_million_characters()
  for _, line in ipairs { ("a"):rep(1000000), (" "):rep(1000000), ("語"):rep(1000000), ("word 12 "):rep(125000) } do
    local status, _, err = run(prompts("2\n0 * 4 =\n" .. line .. "\n"))
    lu.assertStrMatches(err, "getp: " .. PROMPTS .. ":3: the prompt has %d+ tokens, of 512 in all: its line is empty\n")
    lu.assertEquals({ status, support.read(OUT) }, { 1, ANSWER .. "\n" })
  end
end

-- "0 * 4 =" has 5 tokens.
function TestPrompts.test_a_prompt_at_the_limit()
  local at = prompts "1\n0 * 4 =\n"
  refused(at .. " -n 5", PROMPTS .. ":2: the prompt has 5 tokens, of 5 in all: its line is empty")
  lu.assertEquals(support.read(OUT), "\n")
  for steps, want in pairs { [6] = "220\n", [7] = "220 15\n", [8] = ANSWER, [9] = ANSWER } do
    lu.assertEquals((run(at .. " -n " .. steps)), 0)
    lu.assertEquals(support.read(OUT), want)
  end
end

function TestPrompts.test_carriage_returns_stay()
  refused(prompts "1\r\n0 * 4 =\r\n" .. " -n 6",
    PROMPTS .. ":2: the prompt has 6 tokens, of 6 in all: its line is empty")
  lu.assertEquals(run(prompts "1\r\n0 * 4 =\r\n"), 0)
  lu.assertEquals(#support.lines(support.read(OUT)), 1)
end

-- ---- files of ids ----

TestIds = { setUp = remove_output }

local IDS = support.scratch .. "/bad_input.ids"

local function on_ids(text)
  support.write("bad_input.ids", text)
  return string.format("%s -m logits -i %s -o %s", MODEL, IDS, OUT)
end

function TestIds.test_not_ids()
  for _, line in ipairs { "x", "1 1024", "-1", "1,2", "0x1", "1.0", "99999999999999999999", "1\0002", "１" } do
    local message = IDS .. ":2: want token ids from 0 to 1023 separated by spaces"
    refused(on_ids("1\n" .. line .. "\n"), message)
    refused(string.format("decode -z %s -i %s", TOKENIZER, IDS), message)
  end
  assert_no_output("not ids")
end

function TestIds.test_lengths()
  refused(on_ids "1\n\n2\n", IDS .. ":2: want 1 to 512 ids, found 0")
  refused(on_ids("1\n" .. ("1 "):rep(513)), IDS .. ":2: want 1 to 512 ids, found 513")
  refused(string.format("%s -m logits -i nowhere -o %s", MODEL, OUT), "nowhere: No such file or directory")
  refused("decode -i nowhere -z " .. TOKENIZER, "nowhere: No such file or directory")
  assert_no_output("lengths")
end

-- ---- where the output goes ----

TestOutput = { setUp = remove_output }

local GETP_TO = string.format("%s -m getp -i tests/demo/prompts.txt -o ", MODEL)
local LOGITS_TO = string.format("%s -m logits -i %s -o ", MODEL, support.ids("two.ids", { { 1, 2, 3 }, { 4, 5 } }))

function TestOutput.test_places()
  refused(GETP_TO .. ONE .. "/ids", ONE .. "/ids.part: Not a directory")
  refused(GETP_TO .. "/proc/ids", "/proc/ids.part: No such file or directory")
  refused(GETP_TO .. "tests", "tests: is a folder: want a file")
  refused(GETP_TO .. "''", "-o: empty: want the name of a file; see --help")
  refused(GETP_TO .. "/dev/full", "/dev/full: No space left on device")
  refused(LOGITS_TO .. ONE .. "/f32", ONE .. "/f32.new: Not a directory")
  refused(LOGITS_TO .. "/proc/f32", "/proc/f32.new: No such file or directory")
  refused(LOGITS_TO .. "tests", "tests: want a regular file, found something else")
  refused(LOGITS_TO .. "/dev/full", "/dev/full: want a regular file, found something else")
end

-- A file that may not grow, as on a full disk: what was there before stays.
function TestOutput.test_no_room()
  for arguments, place in pairs { [GETP_TO] = ".part", [LOGITS_TO] = ".new" } do
    support.write("bad.ids", "old\n")
    local status, _, err = support.run("ulimit -f 2; " .. GETP .. " " .. arguments .. OUT)
    lu.assertEquals({ err, status }, { "getp: " .. OUT .. place .. ": File too large\n", 1 })
    lu.assertEquals(support.read(OUT), "old\n")
    lu.assertFalse(support.exists(OUT .. ".new"))
  end
end

-- getp's own files must not take the number of a closed stream, nor its text.
function TestOutput.test_standard_output()
  local generate = MODEL .. " -i '0 * 4 ='"
  local decode = string.format("decode -z %s -i %s", TOKENIZER, support.ids("two.ids", { { 1, 2, 3 }, { 4, 5 } }))
  for _, arguments in ipairs { "--help", GETP_TO .. OUT, decode } do
    refused(arguments .. " >&-", "standard output: Bad file descriptor")
    refused(arguments .. " >/dev/full", "standard output: No space left on device")
  end
  local want = support.read(OUT)
  lu.assertEquals(run(GETP_TO .. OUT), 0)
  lu.assertEquals(want, support.read(OUT))
  lu.assertEquals(run(GETP_TO .. OUT .. " 2>&- <&-"), 0)
  lu.assertEquals(want, support.read(OUT))
  for _, where in ipairs { ">&-", ">/dev/full" } do
    local status, _, err = run(generate .. " " .. where)
    lu.assertStrMatches(err, "achieved tok/s: [%d.]+\ngetp: standard output: [^\n]+\n")
    lu.assertEquals(status, 1)
  end
end

function TestOutput.test_standard_error()
  local demo = support.lines(support.read "tests/demo/prompts.txt")
  local long = support.prompts("bad.txt", { ("a"):rep(600), table.unpack(demo, 2) })
  local arguments = string.format("%s -m getp -i %s -o %s", MODEL, long, OUT)
  lu.assertEquals(support.run("ulimit -f 1; " .. GETP .. " " .. arguments .. " 2>&-"), 1)
  lu.assertStrMatches(support.read(OUT .. ".part"):gsub("%d+", "1"), "1: \n1: 1[1: \n]+")
end

-- ---- flags ----

TestFlags = { setUp = remove_output }

function TestFlags.test_no_value()
  for _, flag in ipairs { "-m", "-i", "-o", "-n", "-t", "-p", "-s", "-z", "-y", "-b", "--chunk", "--mode", "--input",
    "--output", "--steps", "--temperature", "--top-p", "--seed", "--tokenizer", "--system", "--slots" } do
    refused(MODEL .. " " .. flag, flag .. ": want a value behind it")
  end
end

local function value_refused(flag, values, message)
  for _, value in ipairs(values) do
    refused(string.format("%s -i x %s %s", MODEL, flag, support.quote(value)),
      string.format("%s %s: %s", flag, value, message))
  end
end

function TestFlags.test_values()
  value_refused("-m", { "", "foo", "decode", "Chat" }, "want generate, chat, getp or logits")
  value_refused("-n", { "", "x", "1x", "1.5", "99999999999", "-99999999999" }, "want an integer")
  for _, flag in ipairs { "-b", "--chunk" } do
    value_refused(flag, { "", "x", "0", "-1", "3000000000" }, "want an integer from 1 to 2147483647")
  end
  value_refused("-b", { "17" }, "this getp was generated for 16")
  value_refused("--chunk", { "129" }, "this getp was generated for 128")
  value_refused("-t", { "", "x", "-1", "-0.001", "1001", "inf", "nan", "1,5" }, "want a number from 0 to 1000")
  value_refused("-p", { "", "x", "-1", "1.001", "nan" }, "want a number from 0 to 1")
  value_refused("-s", { "", "x", "-1", " -1", "18446744073709551616", "1.5" }, "want an integer from 0 to 2^64 - 1")
end

function TestFlags.test_unknown()
  for arguments, flag in pairs { ["-x"] = "-x", ["-xyz"] = "-x", ["--nonsense"] = "--nonsense", ["-n 5 -c"] = "-c",
    ["--chunk 5 -r"] = "-r", ["--reference=3"] = "--reference=3", ["--help=x"] = "--help=x" } do
    refused(MODEL .. " " .. arguments, flag .. ": unknown flag; see --help")
  end
end

function TestFlags.test_what_a_mode_needs()
  refused("", "want a checkpoint folder; see --help")
  refused("-i x", "want a checkpoint folder; see --help")
  refused(MODEL, "want -i; see --help")
  refused(MODEL .. " -m getp -o " .. OUT, "want -i; see --help")
  refused(MODEL .. " -m getp -i " .. ONE, "want -o with a file for the output; see --help")
  refused(MODEL .. " -m logits -i " .. ONE, "want -o with a file for the output; see --help")
  refused(MODEL .. " " .. MODEL .. " -i x", MODEL .. ": want one checkpoint folder; see --help")
  refused("decode -i " .. ONE, "decode: want -z with a tokenizer.json")
  refused("decode " .. MODEL .. " -i x -z x", MODEL .. ": want one checkpoint folder; see --help")
  refused(MODEL .. " -i x --reference", "--reference: only -m logits has it")
end

function TestFlags.test_texts()
  refused(MODEL .. " -i ''", "-i: empty: want a text or the name of a file; see --help")
  refused(MODEL .. " -i \"$(printf 'a\\377')\"", "-i: byte 2 is not UTF-8")
  refused(MODEL .. " -m chat -y '' </dev/null", "-y: empty: want at least one character")
  refused(MODEL .. " -i '0 * 4 =' -n 5",
    "-i: the text has 5 tokens: want fewer than 5, those of text and continuation")
  refused_like(MODEL .. " -i '" .. ("a "):rep(600) .. "'",
    "%-i: the text has %d+ tokens: want fewer than 512, those of text and continuation")
  refused(MODEL .. " -m chat <tests", "standard input: Is a directory")
end

-- ---- signals in the middle of a job ----

TestSignals = { setUp = remove_output }

local MANY = 20000

-- Runs a long getp job, sends it a signal once the first line is finished -> status, stderr. `keep`
-- is what stands in the output file before.
local function interrupted(signal, keep)
  local demo = support.lines(support.read "tests/demo/prompts.txt")
  table.remove(demo, 1)
  local many = {}
  for i = 1, MANY do many[i] = demo[(i - 1) % #demo + 1] end
  local path = support.prompts("many.txt", many)
  if keep then support.write("bad.ids", keep) end
  local status, _, err = support.run(string.format([[
    %s %s -m getp -n 512 -i %s -o %s & getp=$!
    for i in $(seq 500); do [ -s %s.part ] && break; sleep 0.02; done
    kill -%s $getp; wait $getp]], support.getp("abacus-cpu"), MODEL, path, OUT, OUT, signal))
  return status, err, #demo
end

-- Every finished line is as an undisturbed run writes it; returns how many there are.
local function check_part(prompts_of_demo)
  local text = support.read(OUT .. ".part")
  lu.assertEquals(text:sub(-1), "\n")
  local part = support.lines(text)
  lu.assertEquals(run(GETP_TO .. support.scratch .. "/undisturbed.ids"), 0)
  local want = support.lines(support.read(support.scratch .. "/undisturbed.ids"))
  local seen = {}
  for _, line in ipairs(part) do
    local number, ids = line:match("^(%d+): ([%d ]*)$")
    number = assert(tonumber(number), line)
    lu.assertEquals(ids, want[(number - 1) % prompts_of_demo + 1], "prompt " .. number)
    lu.assertNil(seen[number], "twice: " .. line)
    seen[number] = true
  end
  lu.assertTrue(#part > 0 and #part < MANY, #part .. " lines are finished")
  return #part
end

function TestSignals.test_a_stop()
  for signal, number in pairs { TERM = 15, INT = 2 } do
    remove_output()
    local status, err, demo = interrupted(signal)
    local done = err:match("^getp: stopped by signal " .. number .. " after (%d+) of " .. MANY ..
      " prompts: finished lines are in " .. OUT .. "%.part\n$")
    lu.assertEquals(status, 128 + number, err)
    lu.assertEquals(tonumber(done), check_part(demo), err)
    lu.assertFalse(support.exists(OUT))
  end
end

function TestSignals.test_a_kill()
  local status, err, demo = interrupted("KILL", "old\n")
  lu.assertEquals(status, 137)
  lu.assertNotStrContains(err, "getp: ")
  check_part(demo)
  lu.assertEquals(support.read(OUT), "old\n")
end

os.exit(lu.LuaUnit.run())
