-- gen/config.lua: the four dialects and their defaults, every refusal of tests/refused with its exact message, lists of
-- unpacked modules, and the keys that change no logit.
-- luacheck: globals TestDialects TestDefaults TestWarnings TestRefused TestModules TestInert TestBin
package.path = "./?.lua;" .. package.path

local config = require "gen.config"
local lu = require "luaunit"
local support = require "tests.support"

local MODELS <const> = { "abacus", "rand_bf16", "rand_mxfp4", "rand_tied" }
local read <const> = support.read

local function parse_file(path)
  local out, warnings = config.parse(read(path), path)
  if not out then lu.fail(table.concat(warnings, "\n")) end
  return out, warnings
end

-- A small complete HF config, key by key, so that a test can replace or drop a key.
local SMALL <const> = {
  { "model_type", '"gpt_oss"' }, { "vocab_size", "515" }, { "hidden_size", "128" },
  { "intermediate_size", "96" }, { "num_hidden_layers", "3" }, { "num_attention_heads", "6" },
  { "num_key_value_heads", "3" }, { "head_dim", "32" }, { "num_local_experts", "5" },
  { "num_experts_per_tok", "3" },
}

-- `changes` maps keys to JSON text; false drops the key.
local function small(changes)
  local parts, left = {}, {}
  for key, value in pairs(changes) do left[key] = value end
  for _, entry in ipairs(SMALL) do
    local value = left[entry[1]]
    if value == nil then value = entry[2] end
    left[entry[1]] = nil
    if value then parts[#parts + 1] = string.format('"%s": %s', entry[1], value) end
  end
  for key, value in pairs(left) do parts[#parts + 1] = string.format('"%s": %s', key, value) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function parse_small(changes)
  local out, warnings = config.parse(small(changes), "small.json")
  if not out then lu.fail(table.concat(warnings, "\n")) end
  return out, warnings
end

TestDialects = {}

local function alternating(n)
  local types = {}
  for i = 1, n do types[i] = i % 2 == 1 and "sliding_attention" or "full_attention" end
  return types
end

local function gpt_oss(n_layers, n_experts)
  return {
    vocab_size = 201088, hidden_size = 2880, intermediate_size = 2880, num_hidden_layers = n_layers,
    num_attention_heads = 64, num_key_value_heads = 8, head_dim = 64, num_local_experts = n_experts,
    num_experts_per_tok = 4, max_position_embeddings = 131072, sliding_window = 128,
    layer_types = alternating(n_layers), rms_norm_eps = 1e-5, swiglu_limit = 7.0, swiglu_alpha = 1.702,
    rope = {
      rope_type = "yarn", rope_theta = 150000.0, factor = 32.0, beta_fast = 32.0, beta_slow = 1.0,
      original_max_position_embeddings = 4096, truncate = false,
    },
    attention_bias = true, tie_word_embeddings = false, quant_method = "mxfp4", dtype = "bfloat16",
  }
end

function TestDialects.test_published_configs()
  lu.assertEquals({ parse_file("gen/configs/gpt-oss-20b.json") }, { gpt_oss(24, 32), {} })
  lu.assertEquals({ parse_file("gen/configs/gpt-oss-120b.json") }, { gpt_oss(36, 128), {} })
end

function TestDialects.test_transformers_5()
  lu.assertEquals({ parse_file("tests/gen/configs/gpt-oss-20b-hf5.json") }, { gpt_oss(24, 32), {} })
end

function TestDialects.test_openai_original()
  lu.assertEquals({ parse_file("tests/gen/configs/gpt-oss-20b-original.json") }, { gpt_oss(24, 32), {} })
end

function TestDialects.test_the_exporter_has_its_own_context()
  local want = gpt_oss(24, 32)
  want.max_position_embeddings = 2048
  lu.assertEquals({ parse_file("tests/gen/configs/gpt-oss-20b-exporter.json") }, { want, {} })
end

function TestDialects.test_sizes_are_integers_and_factors_floats_in_any_spelling()
  local out = parse_small { hidden_size = "128.0", vocab_size = "5.15e2", swiglu_limit = "7", rope_theta = "10000" }
  lu.assertEquals(math.type(out.hidden_size), "integer")
  lu.assertEquals(out.vocab_size, 515)
  lu.assertEquals(math.type(out.vocab_size), "integer")
  lu.assertEquals(math.type(out.swiglu_limit), "float")
  lu.assertEquals(math.type(out.rope.rope_theta), "float")
end

function TestDialects.test_other_spellings()
  local out = parse_small {
    num_local_experts = false, num_experts = "5", num_experts_per_tok = false, experts_per_token = "3",
    rope_scaling = '{"type": "default"}', torch_dtype = '"float32"',
  }
  lu.assertEquals(out.num_local_experts, 5)
  lu.assertEquals(out.num_experts_per_tok, 3)
  lu.assertEquals(out.rope, { rope_type = "default", rope_theta = 150000.0 })
  lu.assertEquals(out.dtype, "float32")
end

function TestDialects.test_models_with_reference_outputs()
  local folder = "tests/models/%s/config.json"
  for _, name in ipairs(MODELS) do
    local _, warnings = parse_file(folder:format(name))
    lu.assertEquals(warnings, {})
  end
  local mxfp4 = parse_file(folder:format("rand_mxfp4"))
  lu.assertTrue(mxfp4.rope.truncate)
  lu.assertEquals(mxfp4.layer_types, { "sliding_attention", "full_attention", "sliding_attention" })
  local bf16 = parse_file(folder:format("rand_bf16"))
  lu.assertEquals(bf16.rope, { rope_type = "default", rope_theta = 500000.0 })
  lu.assertNil(bf16.quant_method)
  local tied = parse_file(folder:format("rand_tied"))
  lu.assertTrue(tied.tie_word_embeddings)
  lu.assertFalse(tied.attention_bias)
end

TestDefaults = {}

function TestDefaults.test_everything_absent()
  local out, warnings = parse_small {}
  local want = gpt_oss(3, 5)
  want.vocab_size, want.hidden_size, want.intermediate_size = 515, 128, 96
  want.num_attention_heads, want.num_key_value_heads, want.head_dim = 6, 3, 32
  want.num_experts_per_tok, want.quant_method = 3, nil
  lu.assertEquals(out, want)
  lu.assertEquals(warnings, {})
end

function TestDefaults.test_null_means_absent_where_transformers_says_so()
  local out = parse_small {
    num_key_value_heads = "null", layer_types = "null", quantization_config = "null", dtype = "null",
    initial_context_length = "null",
  }
  lu.assertEquals(out.num_key_value_heads, 6)
  lu.assertEquals(out.layer_types, alternating(3))
  lu.assertNil(out.quant_method)
  lu.assertEquals(out.dtype, "bfloat16")
end

function TestDefaults.test_no_window()
  lu.assertNil(parse_small({ sliding_window = "null" }).sliding_window)
  lu.assertNil(parse_small({ sliding_window = "0" }).sliding_window)
  lu.assertEquals(parse_small({ sliding_window = "1" }).sliding_window, 1)
end

function TestDefaults.test_a_given_yarn_differs_from_the_absent_one()
  local out = parse_small { rope_scaling = '{"rope_type": "yarn", "factor": 32}' }
  lu.assertTrue(out.rope.truncate)
  lu.assertEquals(out.rope.original_max_position_embeddings, 131072)
  lu.assertEquals({ out.rope.beta_fast, out.rope.beta_slow }, { 32.0, 1.0 })
  out = parse_small { rope_parameters = '{"rope_type": "yarn", "factor": 2, "beta_fast": null, "mscale": null}' }
  lu.assertEquals(out.rope.beta_fast, 32.0)
  lu.assertNil(out.rope.mscale)
end

function TestDefaults.test_factors_of_yarn()
  local out = parse_small {
    rope_scaling = '{"rope_type": "yarn", "factor": 2, "attention_factor": 1, "mscale": 0.5, "mscale_all_dim": 2}',
  }
  lu.assertEquals({ out.rope.attention_factor, out.rope.mscale, out.rope.mscale_all_dim }, { 1.0, 0.5, 2.0 })
end

function TestDefaults.test_quantization_without_a_list_packs_the_experts()
  lu.assertEquals(parse_small({ quantization_config = '{"quant_method": "mxfp4"}' }).quant_method, "mxfp4")
end

function TestDefaults.test_keys_that_change_no_logit()
  parse_small {
    architectures = '["GptOssForCausalLM"]', transformers_version = '"5.0.0"', use_cache = "false",
    attention_dropout = "0.1", router_aux_loss_coef = "0.9", output_router_logits = "true",
    bos_token_id = "null", eos_token_id = "[1, 2]", id2label = '{"0": "a"}', top_k = "50",
    hidden_act = '"silu"', partial_rotary_factor = "1.0", _name_or_path = '""',
  }
end

TestWarnings = {}

function TestWarnings.test_context_that_yarn_does_not_explain()
  local yarn = '{"rope_type": "yarn", "factor": 2.5, "original_max_position_embeddings": 64}'
  local _, warnings = parse_small {
    rope_scaling = yarn, max_position_embeddings = "512", initial_context_length = "4096",
  }
  lu.assertEquals(warnings, {
    "small.json: initial_context_length: 4096 is not original_max_position_embeddings, 64: the latter counts",
    "small.json: max_position_embeddings: 512 is not original_max_position_embeddings * factor, 160",
  })
end

function TestWarnings.test_yarn_keys_beside_plain_rope()
  local _, warnings = parse_small { rope_parameters = '{"rope_type": "default", "factor": 8, "truncate": true}' }
  lu.assertEquals(warnings, {
    'small.json: rope_parameters.factor: has no effect with rope_type "default"',
    'small.json: rope_parameters.truncate: has no effect with rope_type "default"',
  })
end

TestRefused = {}

function TestRefused.test_each_bad_config_gives_its_messages()
  local listing = assert(io.popen("LC_ALL=C ls tests/refused"))
  local n = 0
  for name in listing:lines() do
    local stem = name:match("^(.*)%.json$")
    if stem then
      local out, errors = config.parse(read("tests/refused/" .. name), name)
      lu.assertNil(out, name .. " was accepted")
      lu.assertEquals(table.concat(errors, "\n") .. "\n", read("tests/refused/" .. stem .. ".txt"))
      n = n + 1
    end
  end
  listing:close()
  lu.assertTrue(n >= 60, "tests/refused has too few files")
end

function TestRefused.test_nesting_without_end()
  local out, errors = config.parse(("["):rep(300000), "deep.json")
  lu.assertNil(out)
  lu.assertEquals(errors, { "deep.json: broken JSON: want at most 2048 nested values at line 1, column 2049" })
end

-- A config of 300,000 unknown keys gives a message that can be read.
function TestRefused.test_at_most_20_problems_are_listed()
  local changes = {}
  for i = 1, 25 do changes[string.format("new_%02d", i)] = "1" end
  local _, errors = config.parse(small(changes), "c.json")
  lu.assertEquals(#errors, 21)
  lu.assertEquals(errors[1], "c.json: new_01: unknown key: it could change the arithmetic")
  lu.assertEquals(errors[20], "c.json: new_20: unknown key: it could change the arithmetic")
  lu.assertEquals(errors[21], "c.json: and 5 more")
  changes.new_21, changes.new_22, changes.new_23, changes.new_24, changes.new_25 = nil, nil, nil, nil, nil
  lu.assertEquals(#select(2, config.parse(small(changes), "c.json")), 20)
end

TestModules = {}

-- The errors of a list of modules_to_not_convert, in a config of 3 layers with packed experts.
local function errors_of(list)
  local value = '{"quant_method": "mxfp4", "modules_to_not_convert": ' .. list .. "}"
  local out, errors = config.parse(small { quantization_config = value }, "c.json")
  return out and {} or errors
end

-- Whatever a list says of modules that cannot be packed is true.
function TestModules.test_modules_other_than_the_experts()
  for _, list in ipairs { "null", "[]", '["lm_head"]', '["model.layers.*.self_attn", "model.layers.*.mlp.router"]',
    '["model.layers.0.self_attn", "model.layers.1.self_attn.q_proj", "model.layers.2.mlp.router"]',
    '["self_attn", "router", "embed_tokens", "norm", "input_layernorm"]', '["lm_head", "lm_head"]',
    [=[["model\\.layers\\.\\d+\\.self_attn", "^lm_head$", "model.layers.[0-2].mlp.router"]]=],
    '["model.layers.*.mlp.experts.router", "mlp", "layers.1", "visual", "model.layers.7.mlp.experts"]',
    '["model.layers.1.mlp.expert$", "*self_attn*", "*.router"]' } do
    lu.assertEquals(errors_of(list), {}, list)
  end
end

-- An entry covers the experts if it matches the beginning of their name, or is the end of it.
function TestModules.test_entries_that_cover_experts()
  local first = "model.layers.0.mlp.experts"
  for entry, covered in pairs { ["model.layers.1.mlp.experts"] = "model.layers.1.mlp.experts",
    ["model.layers.2"] = "model.layers.2.mlp.experts", ["model.layers.*.mlp"] = first, ["model"] = first, [""] = first,
    ["experts"] = first, ["mlp.experts"] = first, [".*experts"] = first, ["*experts"] = first,
    ["model.layers.*"] = first,
    ["gate_up_proj"] = first .. ".gate_up_proj", ["experts.down_proj"] = first .. ".down_proj", ["^model"] = first,
    [ [=[model\.layers\.\d+\.mlp\.experts$]=] ] = first, ["model.layers.[12].mlp"] = "model.layers.1.mlp.experts",
    ["m?odel.layers.+mlp"] = first } do
    lu.assertEquals(errors_of('["lm_head", "' .. entry:gsub("\\", "\\\\") .. '"]'), { string.format(
      'c.json: quantization_config.modules_to_not_convert[1]: want what is no part of the packed %s, got "%s"', covered,
      (entry:gsub("\\", "\\\\"))) }, entry)
  end
end

function TestModules.test_other_entries()
  local front = "c.json: quantization_config.modules_to_not_convert"
  local want = front
    .. "[0]: want the name of a module, of up to 200 characters, without operators but . * + ? [ ] \\, "
  for entry, shown in pairs { ["(a|b)"] = "(a|b)", ["a{2}"] = "a{2}", ["[a"] = "[a", ["re:lm_head"] = "re:lm_head",
    [("x"):rep(201)] = ("x"):rep(37) .. "..." } do
    lu.assertEquals(errors_of('["' .. entry .. '"]'), { want .. 'got "' .. shown .. '"' })
  end
  lu.assertEquals(errors_of("[1, null]"), { front .. "[0]: want a text, got 1", front .. "[1]: want a text, got null" })
  lu.assertEquals(errors_of('{"a": 1}'), { front .. ": want an array, got an object" })
end

-- The time to match does not grow with the ways to match.
function TestModules.test_many_operators()
  local began = os.clock()
  lu.assertEquals(errors_of('["' .. (".*"):rep(99) .. 'z"]'), {})
  lu.assertTrue(os.clock() - began < 1)
end

-- Another method is refused once, whatever its own keys are.
function TestModules.test_other_methods()
  for _, method in ipairs { "fp8", "modelopt", "quark", "bitsandbytes", "compressed-tensors" } do
    local value = string.format('{"quant_method": "%s", "ignore": ["lm_head"], "modules_to_not_convert": 1}', method)
    local _, errors = config.parse(small { quantization_config = value }, "c.json")
    lu.assertEquals(errors, { 'c.json: quantization_config.quant_method: want "mxfp4", got "' .. method .. '"' })
  end
end

TestInert = {}

-- Keys of real files by unsloth, NeMo, Trainer, and transformers 4 and 5.
function TestInert.test_keys_of_tools()
  parse_small {
    unsloth_fixed = "true", unsloth_version = '"2025.9.7"', model_name = '"unsloth/gpt-oss-20b"', nemo_version = '"2"',
    max_seq_len_cached = "null", use_return_dict = "true", gradient_checkpointing = "false", temperature = "1.0",
    quantization_config = '{"quant_method": "mxfp4", "dequantize": false}', _attn_implementation = '"eager"',
    is_decoder = "false", problem_type = "null", chunk_size_feed_forward = "0", tie_encoder_decoder = "false",
  }
end

-- A key of unknown meaning is refused even if it looks like a known one.
function TestInert.test_similar_keys()
  for _, key in ipairs { "unsloth_scale", "Unsloth_fixed", "unsloth_fixed ", "use_sinks", "auto_map", "text_config" } do
    local _, errors = config.parse(small { [key] = "1" }, "c.json")
    lu.assertEquals(errors, { "c.json: " .. key .. ": unknown key: it could change the arithmetic" })
  end
end

TestBin = {}

local HEADER <const> = "<i4i4i4i4i4i4i4i4i4i4i4ffi4f"

local function header_20b(layers, experts)
  return string.pack(HEADER, 201088, 2880, experts, 4, 2880, layers, 64, 64, 8, 2048, 4096, 150000, 32, 128, 7)
end

-- The sizes of the published models in both dtypes.
function TestBin.test_the_size_gives_the_dtype()
  for _, case in ipairs { { 24, 32, 83659028796, "float32" }, { 24, 32, 41829514428, "bfloat16" },
    { 36, 128, 467316626748, "float32" }, { 36, 128, 233658313404, "bfloat16" } } do
    local layers, experts, bytes, dtype = table.unpack(case)
    local want = gpt_oss(layers, experts)
    want.max_position_embeddings, want.quant_method, want.dtype = 2048, nil, dtype
    lu.assertEquals({ config.parse_bin(header_20b(layers, experts), bytes, "m.bin") }, { want, {} })
  end
end

function TestBin.test_refused()
  local good = header_20b(24, 32)
  for _, case in ipairs {
    { good, 83659028795, "want 83659028796 bytes (float32) or 41829514428 (bfloat16) by the sizes in its header, "
      .. "got 83659028795" },
    { good:sub(1, 59), 59, "want a header of 60 bytes, got 59" }, { "", 0, "want a header of 60 bytes, got 0" },
    { "GPT-OSS v1.0\0" .. ("x"):rep(47), 99,
      "want a .bin file of the exporter, got OpenAI's model for Metal: use the safetensors of the same model" },
    -- the exporter wrote the 150000 of the JSON file as an integer
    { good:sub(1, 44) .. string.pack("<i4", 150000) .. good:sub(49), 1,
      "header: rope_theta: want a number from 1 to 1e+12, got 2.1019476964872e-40" },
    { good:sub(1, 56) .. string.pack("<f", 0 / 0), 1, "header: swiglu_limit: want a number from 0.001 to 10000, got "
      .. tostring(string.unpack("<f", string.pack("<f", 0 / 0))) },
    { string.pack("<i4", -5) .. good:sub(5), 1, "header: vocab_size: want a positive integer, got -5" },
  } do
    local header, bytes, message = table.unpack(case)
    local out, errors = config.parse_bin(header, bytes, "m.bin")
    lu.assertEquals({ out, errors }, { nil, { "m.bin: " .. message } })
  end
end

-- Nothing in a .bin file is MXFP4.
function TestBin.test_sizes_need_no_multiples()
  local header = string.pack(HEADER, 7, 10, 3, 1, 6, 1, 16, 2, 1, 64, 64, 10000, 1, 0, 7)
  local elements = 2 * 7 * 10 + 10 + (10 + 64 * 11 + 10 * 33 + 2) + (10 + 3 * 11 + 3 * (12 * 11 + 10 * 7))
  local out = config.parse_bin(header, 60 + 2 * elements, "m.bin")
  lu.assertEquals({ out.hidden_size, out.dtype, out.quant_method, out.sliding_window }, { 10, "bfloat16" })
end

os.exit(lu.LuaUnit.run())
