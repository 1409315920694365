-- config.parse: the text of a config.json -> the config, checked and complete, nothing derived.
--
-- config = {                       -- in the spelling of HF's config.json
--   vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads,
--   num_key_value_heads, head_dim, num_local_experts, num_experts_per_tok, max_position_embeddings,
--                                  -- positive integers, up to MAX
--   sliding_window,                -- integer, or nil: no layer has a window
--   layer_types,                   -- "sliding_attention" or "full_attention", one per layer
--   rms_norm_eps, swiglu_limit, swiglu_alpha, -- floats, in RANGE
--   rope = { rope_type = "yarn", rope_theta, factor, beta_fast, beta_slow, -- floats
--            original_max_position_embeddings, truncate,  -- integer, boolean
--            attention_factor, mscale, mscale_all_dim }   -- floats or nil
--       or { rope_type = "default", rope_theta },
--   attention_bias, tie_word_embeddings, -- booleans
--   quant_method,                  -- "mxfp4", or nil: no tensor is packed
--   dtype,                         -- "bfloat16", "float16" or "float32", for the unpacked tensors
-- }
--
-- It reads four dialects: HF with rope_scaling, HF with rope_parameters (transformers 5), OpenAI's
-- original/config.json and the 15 keys of the .bin exporter; and the header of a .bin file, which has the
-- same 15. It refuses unknown keys that could change
-- the arithmetic, other families, values of another type, and shapes that the kernels cannot hold. It
-- reports all errors of a config, not only the first.

local bin_header = require "gen.bin_header"
local inert = require "gen.inert_keys"
local json = require "gen.json"
local modules = require "gen.modules"

local config = {}

-- Bounds far above any model, with which no product of sizes overflows in generated code, whose indices of one matrix
-- are int32_t and whose offsets are size_t. runtime/checkpoint/config.c has the same.
local MAX_POSITIONS <const> = 1 << 30
local MAX <const> = {
  vocab_size = 1 << 24, hidden_size = 1 << 17, intermediate_size = 1 << 20, num_hidden_layers = 512,
  num_attention_heads = 1024, num_key_value_heads = 1024, experts = 4096, experts_per_tok = 128,
  max_position_embeddings = MAX_POSITIONS, sliding_window = MAX_POSITIONS,
  original_max_position_embeddings = MAX_POSITIONS, initial_context_length = MAX_POSITIONS, max_seq_len = MAX_POSITIONS,
}
local MOST_PROBLEMS <const> = 20 -- that are listed
local MIN_HEAD_DIM <const>, MAX_HEAD_DIM <const> = 16, 256
local RANGE <const> = { -- of real numbers
  rms_norm_eps = { 1e-30, 1 }, swiglu_limit = { 1e-3, 1e4 }, swiglu_alpha = { 1e-3, 1e4 }, rope_theta = { 1, 1e12 },
  factor = { 1, 1e6 }, beta_fast = { 1e-3, 1e6 }, beta_slow = { 1e-3, 1e6 }, attention_factor = { 1e-3, 1e3 },
  mscale = { 1e-3, 1e3 }, mscale_all_dim = { 1e-3, 1e3 }, rope_scaling_factor = { 1, 1e6 },
  rope_ntk_alpha = { 1e-3, 1e6 }, rope_ntk_beta = { 1e-3, 1e6 },
}
local DEFAULT_HEAD_DIM <const> = 64
local MXFP4_GROUP <const> = 32

-- A reader is one JSON object, the prefix of its keys in messages, and the set of keys that were read.

local function new_reader(object, prefix, report)
  return { object = object, prefix = prefix, report = report, known = {} }
end

local function show(value)
  if value == nil then return "nothing" end
  if value == json.null then return "null" end
  if json.is(value, "array") then return "an array" end
  if type(value) == "table" then return "an object" end
  if type(value) ~= "string" then return tostring(value) end
  if #value > 40 then value = value:sub(1, 37) .. "..." end
  return json.quote(value)
end

local function path_of(reader, key)
  return string.format("%s: %s%s", reader.report.file, reader.prefix, key)
end

local function refuse(reader, key, want, value)
  local errors = reader.report.errors
  errors[#errors + 1] = string.format("%s: want %s, got %s", path_of(reader, key), want, show(value))
end

local function warn(reader, key, message)
  local warnings = reader.report.warnings
  warnings[#warnings + 1] = path_of(reader, key) .. ": " .. message
end

local function read_key(reader, key)
  reader.known[key] = true
  return reader.object[key]
end

-- The value of a key for which null and absence mean the same.
local function read_optional(reader, key)
  local value = read_key(reader, key)
  if value == json.null then return nil end
  return value
end

-- A key with two spellings -> its value and the spelling found. If the file has both, they must agree.
local function read_either(reader, key, alias)
  local value, other = read_key(reader, key), read_key(reader, alias)
  if value == nil then return other, other ~= nil and alias or key end
  if other ~= nil and other ~= value then
    refuse(reader, alias, string.format("%s as in %s", show(value), key), other)
  end
  return value, key
end

local function as_size(reader, key, value, most)
  local n = math.type(value) and math.tointeger(value)
  if not n or n < 1 then return refuse(reader, key, "a positive integer", value) end
  if most and n > most then return refuse(reader, key, "at most " .. most, value) end
  return n
end

local function size(reader, key) return as_size(reader, key, read_key(reader, key), MAX[key]) end

local function size_of_either(reader, key, alias, most)
  local value, present = read_either(reader, key, alias)
  return as_size(reader, present, value, most)
end

local function as_positive(reader, key, value)
  local low, high = table.unpack(RANGE[key])
  if math.type(value) and value >= low and value <= high then return value + 0.0 end
  refuse(reader, key, string.format("a number from %g to %g", low, high), value)
end

-- A float; `default` is nil where the key must be present.
local function positive(reader, key, default)
  local value = read_key(reader, key)
  if value == nil and default then return default end
  return as_positive(reader, key, value)
end

local function optional_positive(reader, key)
  local value = read_optional(reader, key)
  return value ~= nil and as_positive(reader, key, value) or nil
end

local function boolean(reader, key, default)
  local value = read_key(reader, key)
  if value == nil then return default end
  if type(value) ~= "boolean" then refuse(reader, key, "true or false", value) end
  return value
end

local function refuse_unknown(reader, ignored)
  local unknown = {}
  for key in pairs(reader.object) do
    if not reader.known[key] and not ignored[key] then unknown[#unknown + 1] = tostring(key):gsub("%c", "?") end
  end
  table.sort(unknown)
  local errors = reader.report.errors
  for _, key in ipairs(unknown) do
    errors[#errors + 1] = path_of(reader, key) .. ": unknown key: it could change the arithmetic"
  end
end

-- Shapes.

local function read_head_dim(reader)
  local value = read_key(reader, "head_dim")
  if value == nil then return DEFAULT_HEAD_DIM end
  local n = as_size(reader, "head_dim", value)
  if not n or (n % 2 == 0 and n >= MIN_HEAD_DIM and n <= MAX_HEAD_DIM) then return n end
  local want = "an even integer from %d to %d (rotary pairs; a wave holds one head)"
  refuse(reader, "head_dim", string.format(want, MIN_HEAD_DIM, MAX_HEAD_DIM), n)
end

local function read_kv_heads(reader, n_heads)
  if read_key(reader, "num_key_value_heads") == json.null then return n_heads end
  local n = size(reader, "num_key_value_heads")
  if n and n_heads and n_heads % n ~= 0 then
    local want = string.format("a multiple of num_key_value_heads, %d", n)
    refuse(reader, "num_attention_heads", want, n_heads)
  end
  return n
end

local function read_shape(reader, out)
  out.vocab_size = size(reader, "vocab_size")
  out.hidden_size = size(reader, "hidden_size")
  out.intermediate_size = size(reader, "intermediate_size")
  out.num_hidden_layers = size(reader, "num_hidden_layers")
  out.num_attention_heads = size(reader, "num_attention_heads")
  out.num_key_value_heads = read_kv_heads(reader, out.num_attention_heads)
  out.head_dim = read_head_dim(reader)
end

-- MXFP4 has a scale per group of columns.
local function check_groups(reader, out)
  if out.quant_method ~= "mxfp4" then return end
  for _, key in ipairs { "hidden_size", "intermediate_size" } do
    if out[key] and out[key] % MXFP4_GROUP ~= 0 then
      refuse(reader, key, string.format("a multiple of %d (MXFP4 groups)", MXFP4_GROUP), out[key])
    end
  end
end

local function check_experts(reader, key, out)
  local n, top = out.num_local_experts, out.num_experts_per_tok
  if n and top and top > n then
    refuse(reader, key, string.format("at most the number of experts, %d", n), top)
  end
end

-- Absent: 128 as in HF; null or 0: no window.
local function read_window(reader)
  local value = read_optional(reader, "sliding_window")
  if reader.object.sliding_window == nil then return 128 end
  if value == nil or value == 0 then return nil end
  return as_size(reader, "sliding_window", value, MAX.sliding_window)
end

local function alternating(n_layers)
  local types = {}
  for i = 1, n_layers or 0 do
    types[i] = i % 2 == 1 and "sliding_attention" or "full_attention"
  end
  return types
end

local function read_layer_types(reader, n_layers)
  local value = read_optional(reader, "layer_types")
  if value == nil then return alternating(n_layers) end
  if not json.is(value, "array") then return refuse(reader, "layer_types", "an array", value) end
  if n_layers and #value ~= n_layers then
    local want = string.format("num_hidden_layers, %d, entries", n_layers)
    refuse(reader, "layer_types", want, #value)
  end
  local types = {}
  for i, name in ipairs(value) do
    if name ~= "sliding_attention" and name ~= "full_attention" then
      local key = string.format("layer_types[%d]", i - 1)
      refuse(reader, key, '"sliding_attention" or "full_attention"', name)
    end
    types[i] = name
  end
  return types
end

-- RoPE.

local function read_theta(reader, nested)
  local outer = reader.object.rope_theta ~= nil and positive(reader, "rope_theta")
  local inner = nested and nested.object.rope_theta ~= nil and positive(nested, "rope_theta")
  local theta = inner or outer or 150000.0
  local where = inner and nested or reader
  if inner and outer and inner ~= outer then
    refuse(nested, "rope_theta", show(outer) .. " as in rope_theta", inner)
  end
  if theta <= 1 then refuse(where, "rope_theta", "a number above 1", theta) end
  return theta
end

local function refuse_partial_rotary(reader)
  local value = read_optional(reader, "partial_rotary_factor")
  if value ~= nil and value ~= 1 then
    refuse(reader, "partial_rotary_factor", "1 or nothing: gpt-oss rotates whole heads", value)
  end
end

local function read_rope_type(nested)
  local value, key = read_either(nested, "rope_type", "type")
  if value == "yarn" or value == "default" then return value end
  refuse(nested, key, '"yarn" or "default"', value)
end

local YARN_KEYS <const> = {
  "factor", "beta_fast", "beta_slow", "original_max_position_embeddings", "truncate",
  "attention_factor", "mscale", "mscale_all_dim",
}

local function check_betas(reader, rope, fast, slow)
  if rope.beta_fast and rope.beta_slow and rope.beta_fast < rope.beta_slow then
    refuse(reader, fast, string.format("at least %s, %s", slow, show(rope.beta_slow)), rope.beta_fast)
  end
end

-- The defaults are those of transformers' _compute_yarn_parameters for absent keys.
local function read_yarn(nested, rope, max_positions)
  rope.factor = positive(nested, "factor")
  rope.beta_fast = optional_positive(nested, "beta_fast") or 32.0
  rope.beta_slow = optional_positive(nested, "beta_slow") or 1.0
  local original = read_optional(nested, "original_max_position_embeddings")
  rope.original_max_position_embeddings = original == nil and max_positions
    or as_size(nested, "original_max_position_embeddings", original, MAX_POSITIONS)
  rope.truncate = boolean(nested, "truncate", true)
  rope.attention_factor = optional_positive(nested, "attention_factor")
  rope.mscale = optional_positive(nested, "mscale")
  rope.mscale_all_dim = optional_positive(nested, "mscale_all_dim")
  check_betas(nested, rope, "beta_fast", "beta_slow")
end

-- The RoPE of transformers for a gpt-oss config with neither rope_scaling nor rope_parameters.
local function default_rope(theta)
  return {
    rope_type = "yarn", rope_theta = theta, factor = 32.0, beta_fast = 32.0, beta_slow = 1.0,
    original_max_position_embeddings = 4096, truncate = false,
  }
end

local function read_nested_rope(reader, nested, max_positions)
  local rope = { rope_type = read_rope_type(nested), rope_theta = read_theta(reader, nested) }
  refuse_partial_rotary(nested)
  if rope.rope_type == "yarn" then
    read_yarn(nested, rope, max_positions)
  else
    for _, key in ipairs(YARN_KEYS) do
      if read_key(nested, key) ~= nil and rope.rope_type then
        warn(nested, key, 'has no effect with rope_type "default"')
      end
    end
  end
  refuse_unknown(nested, {})
  return rope
end

-- rope_scaling (transformers 4) or rope_parameters (5). An explicit null is refused: version 4 reads
-- it as plain RoPE, version 5 as YaRN.
local function read_rope(reader, max_positions)
  local v4, v5 = read_key(reader, "rope_scaling"), read_key(reader, "rope_parameters")
  if v4 ~= nil and v5 ~= nil then
    refuse(reader, "rope_parameters", "nothing beside rope_scaling", v5)
  end
  read_key(reader, "rope_theta")
  refuse_partial_rotary(reader)
  local key, value = "rope_scaling", v4
  if v4 == nil then key, value = "rope_parameters", v5 end
  if value == nil then return default_rope(read_theta(reader)) end
  if not json.is(value, "object") then
    local want = 'an object such as {"rope_type": "default"}, or no such key'
    return refuse(reader, key, want, value)
  end
  return read_nested_rope(reader, new_reader(value, key .. ".", reader.report), max_positions)
end

local function check_context(reader, out)
  local initial = read_optional(reader, "initial_context_length")
  local rope = out.rope
  local original = rope and rope.original_max_position_embeddings
  if not original then return end
  if initial ~= nil and initial ~= original then
    local message = "%s is not original_max_position_embeddings, %d: the latter counts"
    warn(reader, "initial_context_length", message:format(show(initial), original))
  end
  local max_positions = out.max_position_embeddings
  if max_positions and rope.factor and max_positions ~= original * rope.factor then
    local message = "%d is not original_max_position_embeddings * factor, %.14g"
    warn(reader, "max_position_embeddings", message:format(max_positions, original * rope.factor))
  end
end

-- Storage.

-- Which tensors are packed is for their names to say; the list must not contradict packed experts.
local function check_unpacked(reader, n_layers)
  local list = read_optional(reader, "modules_to_not_convert")
  if list == nil then return end
  if not json.is(list, "array") then return refuse(reader, "modules_to_not_convert", "an array", list) end
  for i, entry in ipairs(list) do
    local key = string.format("modules_to_not_convert[%d]", i - 1)
    if type(entry) ~= "string" then
      refuse(reader, key, "a text", entry)
    else
      local covered, want = modules.covered(entry, n_layers or 0)
      if covered then want = "what is no part of the packed " .. covered end
      if want then refuse(reader, key, want, entry) end
    end
  end
end

local function read_quant_method(reader, n_layers)
  local value = read_optional(reader, "quantization_config")
  if value == nil then return nil end
  if not json.is(value, "object") then
    return refuse(reader, "quantization_config", "an object", value)
  end
  local nested = new_reader(value, "quantization_config.", reader.report)
  local method = read_key(nested, "quant_method")
  if method ~= "mxfp4" then refuse(nested, "quant_method", '"mxfp4"', method) end
  if method ~= "mxfp4" then return nil end -- its other keys are those of another method
  check_unpacked(nested, n_layers)
  refuse_unknown(nested, { dequantize = true }) -- what transformers does with the experts after loading
  return method
end

local function read_dtype(reader)
  local value, key = read_either(reader, "dtype", "torch_dtype")
  if value == nil or value == json.null then return "bfloat16" end
  if value ~= "bfloat16" and value ~= "float16" and value ~= "float32" then
    refuse(reader, key, '"bfloat16", "float16" or "float32"', value)
  end
  return value
end

-- Dialects.

local function check_family(reader)
  local list = read_optional(reader, "architectures")
  if list ~= nil and not (json.is(list, "array") and #list == 1 and list[1] == "GptOssForCausalLM") then
    local found = json.is(list, "array") and list[1] or list
    refuse(reader, "architectures", '["GptOssForCausalLM"]', found)
  end
  local act = read_key(reader, "hidden_act")
  if act ~= nil and act ~= "silu" then refuse(reader, "hidden_act", '"silu"', act) end
end

local function read_hf(reader)
  local out = {}
  read_key(reader, "model_type")
  check_family(reader)
  read_shape(reader, out)
  out.num_local_experts = size_of_either(reader, "num_local_experts", "num_experts", MAX.experts)
  out.num_experts_per_tok = size_of_either(reader, "num_experts_per_tok", "experts_per_token", MAX.experts_per_tok)
  check_experts(reader, "num_experts_per_tok", out)
  out.sliding_window = read_window(reader)
  out.layer_types = read_layer_types(reader, out.num_hidden_layers)
  out.rms_norm_eps = positive(reader, "rms_norm_eps", 1e-5)
  out.swiglu_limit = positive(reader, "swiglu_limit", 7.0)
  out.swiglu_alpha = positive(reader, "swiglu_alpha", 1.702)
  out.max_position_embeddings = reader.object.max_position_embeddings == nil and 131072
    or size(reader, "max_position_embeddings")
  out.rope = read_rope(reader, out.max_position_embeddings)
  check_context(reader, out)
  out.attention_bias = boolean(reader, "attention_bias", true)
  out.tie_word_embeddings = boolean(reader, "tie_word_embeddings", false)
  out.quant_method = read_quant_method(reader, out.num_hidden_layers)
  check_groups(reader, out)
  out.dtype = read_dtype(reader)
  refuse_unknown(reader, inert)
  return out
end

-- The keys that OpenAI's original config.json and the exporter's file share. The values that these
-- files lack are constants in OpenAI's torch/model.py.
local function read_original_common(reader, quant_method)
  local out = {}
  read_shape(reader, out)
  out.num_local_experts = as_size(reader, "num_experts", read_key(reader, "num_experts"), MAX.experts)
  out.num_experts_per_tok = as_size(reader, "experts_per_token", read_key(reader, "experts_per_token"),
    MAX.experts_per_tok)
  check_experts(reader, "experts_per_token", out)
  out.sliding_window = read_window(reader)
  out.layer_types = alternating(out.num_hidden_layers)
  out.rms_norm_eps, out.swiglu_alpha = 1e-5, 1.702
  out.swiglu_limit = positive(reader, "swiglu_limit", 7.0)
  out.rope = default_rope(read_theta(reader))
  out.rope.original_max_position_embeddings = size(reader, "initial_context_length")
  out.rope.factor = positive(reader, "rope_scaling_factor")
  out.attention_bias, out.tie_word_embeddings = true, false
  out.quant_method, out.dtype = quant_method, "bfloat16"
  check_groups(reader, out)
  return out
end

local function read_original(reader)
  local out = read_original_common(reader, "mxfp4")
  local rope = out.rope
  rope.beta_fast = positive(reader, "rope_ntk_beta", 32.0)
  rope.beta_slow = positive(reader, "rope_ntk_alpha", 1.0)
  check_betas(reader, rope, "rope_ntk_beta", "rope_ntk_alpha")
  if rope.factor and rope.original_max_position_embeddings then
    local positions = math.floor(rope.original_max_position_embeddings * rope.factor)
    out.max_position_embeddings = positions
    if positions > MAX_POSITIONS then
      refuse(reader, "rope_scaling_factor", "at most 2^30 positions, initial_context_length times it", positions)
    end
  end
  refuse_unknown(reader, {})
  return out
end

local function read_exporter(reader, quant_method)
  local out = read_original_common(reader, quant_method)
  out.max_position_embeddings = size(reader, "max_seq_len")
  refuse_unknown(reader, {})
  return out
end

local function read_dialect(reader)
  local object = reader.object
  if object.model_type == "gpt_oss" then return read_hf(reader) end
  if object.model_type == nil and object.max_seq_len ~= nil then return read_exporter(reader, "mxfp4") end
  if object.model_type == nil and object.rope_scaling_factor ~= nil then
    return read_original(reader)
  end
  refuse(reader, "model_type", '"gpt_oss", or the keys of OpenAI\'s original config', object.model_type)
end

-- The first errors, and how many there are beyond them.
local function shortened(report)
  local more = #report.errors - MOST_PROBLEMS
  if more <= 0 then return report.errors end
  local list = table.move(report.errors, 1, MOST_PROBLEMS, 1, {})
  list[MOST_PROBLEMS + 1] = string.format("%s: and %d more", report.file, more)
  return list
end

-- Parses the text of a config.json. file: its name in messages. -> config and a list of warnings, or
-- nil and a list of all errors, `FILE: KEY: want ..., got ...`.
function config.parse(text, file)
  local report = { file = file, errors = {}, warnings = {} }
  local object, message = json.decode(text)
  if message then return nil, { string.format("%s: broken JSON: %s", file, message) } end
  if not json.is(object, "object") then
    return nil, { string.format("%s: want a JSON object, got %s", file, show(object)) }
  end
  local out = read_dialect(new_reader(object, "", report))
  if #report.errors > 0 then return nil, shortened(report) end
  return out, report.warnings
end

-- Parses the first bytes of a .bin file, bin_header.BYTES of them; the file has `bytes`. -> as config.parse.
function config.parse_bin(header, bytes, file)
  local report = { file = file, errors = {}, warnings = {} }
  local object, message = bin_header.read(header)
  if not object then return nil, { file .. ": " .. message } end
  local out = read_exporter(new_reader(object, "header: ", report), nil)
  if #report.errors > 0 then return nil, report.errors end
  out.dtype, message = bin_header.dtype(out, bytes)
  if not out.dtype then return nil, { file .. ": " .. message } end
  return out, report.warnings
end

return config
