-- The two readers of a config.json, gen/config.lua and runtime/checkpoint/config.c: one accepts what the other accepts,
-- in every dialect, and makes the same model of it. Only the generator refuses unknown keys and lists of modules.
-- luacheck: globals TestReaders
package.path = "./?.lua;" .. package.path

local config = require "gen.config"
local lu = require "luaunit"
local model = require "gen.model"
local program = require "tests.gen.program"
local support = require "tests.support"

local SCRATCH <const>, READER <const> = "build/tests/readers", "build/tests/read_config"

local built = os.execute("ninja -f tests/build.ninja " .. READER .. " >/dev/null")

local SHAPE <const> = { vocab_size = "515", hidden_size = "128", intermediate_size = "96", num_hidden_layers = "3",
  num_attention_heads = "6", num_key_value_heads = "3", head_dim = "32" }

local function with(base, more)
  local out = {}
  for _, each in ipairs { base, more } do
    for key, value in pairs(each) do out[key] = value or nil end
  end
  return out
end

local HF <const> = with(SHAPE, { model_type = '"gpt_oss"', num_local_experts = "5", num_experts_per_tok = "3" })
local OPENAI <const> = with(SHAPE, { num_experts = "5", experts_per_token = "3", initial_context_length = "4096",
  rope_theta = "150000", rope_scaling_factor = "32.0", rope_ntk_alpha = "1", rope_ntk_beta = "32",
  sliding_window = "128", swiglu_limit = "7.0" })
local EXPORTER <const> = with(OPENAI, { rope_ntk_alpha = false, rope_ntk_beta = false, max_seq_len = "2048" })
local DIALECTS <const> = { HF, OPENAI, EXPORTER }

local YARN <const> = { rope_type = '"yarn"', factor = "8", beta_fast = "32", beta_slow = "1", truncate = "false",
  original_max_position_embeddings = "64" }

-- Values that a key may have, as JSON. Sizes have others around their bounds.
local VALUES <const> = { "null", "true", "false", "0", "1", "2", "3", "5", "6", "7", "8", "16", "64", "256", "258",
  "512", "513", "-1", "-0", "0.0", "1.0", "2.5", "6e0", "1e3", "0.001", "0.0009", "1e-30", "1e-31", "10000",
    "10001", "1e6",
  "1000001", "1e12", "1.1e12", "1e30", "1024", "1025", "4096", "4097", "128", "129", "131072", "131073", "16777216",
  "16777217", "1048576", "1048577", "1073741824", "1073741825", "2147483648", "9223372036854775807", '""', '"7"',
  '"gpt_oss"', '"yarn"', '"default"', '"silu"', '"mxfp4"', '"bfloat16"', '"float16"', '"float64"', "[]", "{}", "[1]",
  '["GptOssForCausalLM"]', '["full_attention", "sliding_attention", "full_attention"]',
  '["full_attention", "full_attention", "full_attention"]', '["full_attention"]', '{"quant_method": "mxfp4"}',
  '{"quant_method": "fp8"}', '{"rope_type": "default"}', '{"type": "yarn", "factor": 2}',
  '{"rope_type": "yarn", "type": "default", "factor": 2}', '{"rope_type": "default", "rope_theta": 9}' }

local function json_of(keys)
  local parts = {}
  for key, value in pairs(keys) do parts[#parts + 1] = string.format('"%s": %s', key, value) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function bit(condition) return condition and 1 or 0 end

-- What the generator makes of a text, in the form of tests/checkpoint/read_config.c.
local function line_of(text)
  local parsed, errors = config.parse(text, "c.json")
  if not parsed then return "refused", table.concat(errors, "; ") end
  local m, letters = model.describe(parsed), {}
  for i, layer in ipairs(m.layers) do letters[i] = layer.attention:sub(1, 1) end
  local r = m.rope.parameters
  local yarn = r.rope_type == "yarn"
  return string.format("%d %d %d %d %d %d %d %d %d %d %s %.12g %.12g %.12g %d %d %d %d %d %.12g %.12g %.12g %.12g "
    .. "%.12g %.12g", m.vocab, m.d_model, m.d_ff, m.n_layers, m.n_heads, m.n_kv_heads, m.d_head, m.n_experts, m.top_k,
    m.window or 0, table.concat(letters), m.eps, m.limit, m.alpha, bit(m.attention_bias), bit(m.tied),
    bit(m.experts == "mxfp4"), bit(yarn), bit(yarn and r.truncate), r.rope_theta, r.factor or 1.0, r.beta_fast or 0.0,
    r.beta_slow or 0.0, r.original_max_position_embeddings or 0.0, m.rope.scale)
end

-- Compares both readers on a list of texts -> how many of them they accept.
local function compare(texts)
  lu.assertTrue(built)
  assert(os.execute("rm -rf " .. SCRATCH .. " && mkdir -p " .. SCRATCH))
  local folders = {}
  for i in ipairs(texts) do folders[i] = SCRATCH .. "/" .. i end
  program.write(SCRATCH .. "/list", table.concat(folders, "\n") .. "\n")
  assert(os.execute("xargs mkdir <" .. SCRATCH .. "/list"))
  for i, text in ipairs(texts) do program.write(folders[i] .. "/config.json", text) end
  assert(os.execute(string.format("%s <%s/list >%s/lines", READER, SCRATCH, SCRATCH)))
  local lines, accepted = support.lines(support.read(SCRATCH .. "/lines")), 0
  for i, text in ipairs(texts) do
    local line, why = line_of(text)
    if line == "refused" then
      lu.assertEquals(lines[i]:match("^refused: ") or lines[i], "refused: ", text .. "\n" .. why)
    else
      lu.assertEquals(lines[i], line, text)
      accepted = accepted + 1
    end
  end
  return accepted
end

TestReaders = {}

-- Every key of each dialect with every value, and without it.
function TestReaders.test_one_key_changed()
  local more = { { "sliding_window", "layer_types", "rms_norm_eps", "swiglu_limit", "swiglu_alpha", "rope_theta",
    "max_position_embeddings", "attention_bias", "tie_word_embeddings", "quantization_config", "dtype", "torch_dtype",
    "architectures", "hidden_act", "partial_rotary_factor", "rope_scaling", "rope_parameters", "num_experts",
    "experts_per_token", "initial_context_length" }, {}, {} }
  for d, dialect in ipairs(DIALECTS) do
    local texts, keys = { json_of(dialect) }, more[d]
    for key in pairs(dialect) do keys[#keys + 1] = key end
    for _, key in ipairs(keys) do
      texts[#texts + 1] = json_of(with(dialect, { [key] = false }))
      for _, value in ipairs(VALUES) do texts[#texts + 1] = json_of(with(dialect, { [key] = value })) end
    end
    local accepted = compare(texts)
    print(string.format("# dialect %d: %d configs, %d accepted", d, #texts, accepted))
    lu.assertTrue(accepted > 50 and accepted < #texts / 2)
  end
end

function TestReaders.test_rope()
  local texts = {}
  local function add(rope, more)
    for _, name in ipairs { "rope_scaling", "rope_parameters" } do
      texts[#texts + 1] = json_of(with(with(HF, more), { [name] = json_of(rope) }))
    end
  end
  for _, key in ipairs { "rope_type", "type", "factor", "beta_fast", "beta_slow", "truncate", "attention_factor",
    "original_max_position_embeddings", "mscale", "mscale_all_dim", "rope_theta", "partial_rotary_factor" } do
    add(with(YARN, { [key] = false }), {})
    for _, value in ipairs(VALUES) do
      add(with(YARN, { [key] = value }), {})
      add(with(YARN, { mscale = "2", mscale_all_dim = "0.5", [key] = value }), { rope_theta = "10000" })
    end
  end
  add(with(YARN, { original_max_position_embeddings = false }), { max_position_embeddings = "2048" })
  add(with(YARN, { original_max_position_embeddings = "null" }), { max_position_embeddings = "77.0" })
  texts[#texts + 1] = json_of(with(HF, { rope_scaling = json_of(YARN), rope_parameters = json_of(YARN) }))
  print(string.format("# %d configs, %d accepted", #texts, compare(texts)))
end

-- Pairs of keys that must agree, or whose product has a bound.
function TestReaders.test_pairs()
  local texts = {}
  for _, a in ipairs { "1", "5", "6", "5.0", "null", '"5"' } do
    for _, b in ipairs { "1", "5", "6", "5.0", "null", '"5"' } do
      texts[#texts + 1] = json_of(with(HF, { num_local_experts = a, num_experts = b }))
      texts[#texts + 1] = json_of(with(HF, { num_experts_per_tok = a, experts_per_token = b }))
      texts[#texts + 1] = json_of(with(HF, { num_attention_heads = a, num_key_value_heads = b }))
      texts[#texts + 1] = json_of(with(HF, { num_local_experts = a, num_experts_per_tok = b }))
    end
  end
  for _, a in ipairs { '"bfloat16"', '"float32"', "null", '"x"' } do
    for _, b in ipairs { '"bfloat16"', '"float32"', "null", '"x"' } do
      texts[#texts + 1] = json_of(with(HF, { dtype = a, torch_dtype = b }))
    end
  end
  for _, size in ipairs { "8", "16", "32", "33", "48", "64" } do
    for _, key in ipairs { "hidden_size", "intermediate_size" } do
      texts[#texts + 1] = json_of(with(HF, { [key] = size }))
      texts[#texts + 1] = json_of(with(HF, { [key] = size, quantization_config = '{"quant_method": "mxfp4"}' }))
      texts[#texts + 1] = json_of(with(OPENAI, { [key] = size }))
    end
  end
  for _, factor in ipairs { "262144", "262145", "1e6" } do
    texts[#texts + 1] = json_of(with(OPENAI, { rope_scaling_factor = factor }))
    texts[#texts + 1] = json_of(with(EXPORTER, { rope_scaling_factor = factor }))
  end
  compare(texts)
end

-- The published configs, and those of the models.
function TestReaders.test_files()
  local texts, pipe = {}, assert(io.popen("ls gen/configs/*.json tests/gen/configs/*.json tests/models/*/config.json"))
  for path in pipe:lines() do texts[#texts + 1] = support.read(path) end
  pipe:close()
  lu.assertEquals(compare(texts), #texts)
  lu.assertTrue(#texts >= 17)
end

-- What is JSON to one is JSON to the other. Each text is a value of a key that changes nothing.
function TestReaders.test_json()
  local texts, depth = {}, 2046 -- of arrays that hold a value inside of an object
  for _, value in ipairs { "08", "8.", ".5", "+1", "-", "-0", "-01", "1e5", "1E+5", "1e", "1e+", "1.e5", "0.5e-3",
    "1e999", "-1e999", "1e-999", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809",
    "0x10", "1_000", "NaN", "Infinity", "-Infinity", "nan", "True", "nul", "nullx", "null1", "truefalse", "'a'", '"a',
    '"\\u0041"', '"\\u004"', '"\\u00zz"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ud83dx"', '"\\ude00"',
    '"\\ud83d\\u0041"', '"\\x41"', '"\\/\\b\\f\\n\\r\\t\\\\\\""', '"\\a"', '"\1"', '"\n"', '"\t"', '"\127"', '"\0"',
    '"\xC3\xA4"', '"\xC3"', '"\xC0\xAF"', '"\xED\xA0\x80"', '"\xF4\x8F\xBF\xBF"', '"\xF4\x90\x80\x80"', '"\xFF"',
    "[1,]", "[,1]", "[1 2]", "[1,,2]", "[", "]", "[]", "[[]]", '{"a": 1,}', '{"a" 1}', '{"a": 1 "b": 2}',
    "{a: 1}", "{1: 2}",
    '{"a": 1, "a": 2}', '{"a": 1, "\\u0061": 2}', '{"": 1, "": 2}', '{"": 1}', "{,}", "1 2", "/* c */ 1", "// c\n1",
    "# c\n1", "1 // c", "\v1", "\f1", "\xC2\xA01", "\xEF\xBB\xBF1", "\r\n\t 1 \r\n", "",
    ("["):rep(depth) .. ("]"):rep(depth),
    ("["):rep(depth) .. "1" .. ("]"):rep(depth), ("["):rep(depth + 1) .. ("]"):rep(depth + 1),
    ("["):rep(depth + 1) .. "1" .. ("]"):rep(depth + 1), ("["):rep(depth + 2) .. ("]"):rep(depth + 2),
    ("["):rep(100000), ('{"a":'):rep(3000) .. "1" .. ("}"):rep(3000), "\0", "1\0" } do
    texts[#texts + 1] = json_of(with(HF, { id2label = value }))
  end
  local whole = json_of(HF)
  for _, text in ipairs { whole .. "x", whole .. " ", whole .. "{}", "\xEF\xBB\xBF" .. whole, "\n" .. whole,
    whole .. "\0", whole:sub(1, -2), "[" .. whole .. "]", "", " ", "1", '"a"', "null", "[]", whole:gsub("}$",
    ",}"), whole:gsub("}$",
    ', "hidden_size": 128}'), whole:gsub("}$", ', "hidden_siz\\u0065": 128}'), "// c\n" .. whole } do
    texts[#texts + 1] = text
  end
  local accepted = compare(texts)
  print(string.format("# %d texts, %d accepted", #texts, accepted))
  lu.assertTrue(accepted > 20)
end

os.exit(lu.LuaUnit.run())
