-- `lua5.4 tests/bench/gguf.lua CONFIG OUT.gguf`: writes a random model of a config as llama.cpp reads it, for timing:
-- experts in MXFP4, other matrices in BF16. The weights are noise, and the vocabulary has no text.

package.path = "./?.lua;" .. package.path
local config = require "gen.config"

local F32 <const>, BF16 <const>, MXFP4 <const> = 0, 30, 39 -- types of tensors
local UINT32 <const>, FLOAT32 <const>, STRING <const>, ARRAY <const> = 4, 6, 8, 9 -- types of keys
local INT32 <const> = 5
local ALIGNMENT <const> = 32
local MOST_MXFP4 <const> = 38 -- llama.cpp's file type
local PIECE <const> = 1 << 21 -- bytes of noise that are repeated, so that a file is written quickly

local function fail(...)
  io.stderr:write("gguf: ", string.format(...), "\n")
  os.exit(1)
end

local function text(value) return string.pack("<s8", value) end

-- ---- keys ----

local function keys_of(from)
  local keys = {}
  local function add(key, kind, value) keys[#keys + 1] = text(key) .. string.pack("<I4", kind) .. value end
  local function integer(key, value) add(key, UINT32, string.pack("<I4", value)) end
  local function float(key, value) add(key, FLOAT32, string.pack("<f", value)) end
  local function array(key, kind, items)
    add(key, ARRAY, string.pack("<I4I8", kind, #items) .. table.concat(items))
  end
  local names, types = {}, {}
  for i = 1, from.vocab_size do names[i], types[i] = text("t" .. i), string.pack("<i4", 1) end
  add("general.architecture", STRING, text "gpt-oss")
  integer("general.file_type", MOST_MXFP4)
  integer("gpt-oss.block_count", from.num_hidden_layers)
  integer("gpt-oss.context_length", from.max_position_embeddings)
  integer("gpt-oss.embedding_length", from.hidden_size)
  integer("gpt-oss.feed_forward_length", from.intermediate_size)
  integer("gpt-oss.attention.head_count", from.num_attention_heads)
  integer("gpt-oss.attention.head_count_kv", from.num_key_value_heads)
  integer("gpt-oss.attention.key_length", from.head_dim)
  integer("gpt-oss.attention.value_length", from.head_dim)
  integer("gpt-oss.attention.sliding_window", from.sliding_window)
  float("gpt-oss.attention.layer_norm_rms_epsilon", from.rms_norm_eps)
  float("gpt-oss.rope.freq_base", from.rope.rope_theta)
  add("gpt-oss.rope.scaling.type", STRING, text "yarn")
  float("gpt-oss.rope.scaling.factor", from.rope.factor)
  integer("gpt-oss.rope.scaling.original_context_length", from.rope.original_max_position_embeddings)
  integer("gpt-oss.expert_count", from.num_local_experts)
  integer("gpt-oss.expert_used_count", from.num_experts_per_tok)
  integer("gpt-oss.expert_feed_forward_length", from.intermediate_size)
  integer("gpt-oss.vocab_size", from.vocab_size)
  add("tokenizer.ggml.model", STRING, text "gpt2")
  add("tokenizer.ggml.pre", STRING, text "gpt-4o")
  array("tokenizer.ggml.tokens", STRING, names)
  array("tokenizer.ggml.token_type", INT32, types)
  array("tokenizer.ggml.merges", STRING, { text "t 1" })
  integer("tokenizer.ggml.eos_token_id", from.vocab_size - 1)
  integer("tokenizer.ggml.bos_token_id", from.vocab_size - 2)
  return keys
end

-- ---- tensors ----

-- All tensors: { name =, kind =, shape = (the fastest dimension first) }.
local function tensors_of(from)
  local list, d, ff, experts = {}, from.hidden_size, from.intermediate_size, from.num_local_experts
  local q, kv = from.num_attention_heads * from.head_dim, from.num_key_value_heads * from.head_dim
  local function add(name, kind, ...) list[#list + 1] = { name = name, kind = kind, shape = { ... } } end
  local function matrix(name, kind, ...)
    local shape = { ... }
    add(name .. ".weight", kind, ...)
    add(name .. ".bias", F32, table.unpack(shape, 2))
  end
  add("token_embd.weight", BF16, d, from.vocab_size)
  add("output_norm.weight", F32, d)
  add("output.weight", BF16, d, from.vocab_size)
  for layer = 0, from.num_hidden_layers - 1 do
    local prefix = "blk." .. layer .. "."
    add(prefix .. "attn_norm.weight", F32, d)
    add(prefix .. "post_attention_norm.weight", F32, d)
    add(prefix .. "attn_sinks.weight", F32, from.num_attention_heads)
    matrix(prefix .. "attn_q", BF16, d, q)
    matrix(prefix .. "attn_k", BF16, d, kv)
    matrix(prefix .. "attn_v", BF16, d, kv)
    matrix(prefix .. "attn_output", BF16, q, d)
    matrix(prefix .. "ffn_gate_inp", F32, d, experts)
    matrix(prefix .. "ffn_gate_exps", MXFP4, d, ff, experts)
    matrix(prefix .. "ffn_up_exps", MXFP4, d, ff, experts)
    matrix(prefix .. "ffn_down_exps", MXFP4, ff, d, experts)
  end
  return list
end

local function bytes_of(tensor)
  local numbers = 1
  for _, size in ipairs(tensor.shape) do numbers = numbers * size end
  return tensor.kind == F32 and 4 * numbers or tensor.kind == BF16 and 2 * numbers or numbers // 32 * 17
end

local function padding(bytes) return -bytes % ALIGNMENT end

local function infos_of(tensors)
  local infos, offset = {}, 0
  for i, tensor in ipairs(tensors) do
    local shape = {}
    for j, size in ipairs(tensor.shape) do shape[j] = string.pack("<I8", size) end
    infos[i] = text(tensor.name) .. string.pack("<I4", #shape) .. table.concat(shape)
      .. string.pack("<I4I8", tensor.kind, offset)
    offset = offset + bytes_of(tensor) + padding(bytes_of(tensor))
  end
  return infos
end

-- ---- weights ----

-- Numbers of about 0.02, and no subnormal ones, which are slow.
local function noise_bf16() return string.pack("<I2", math.random(0x3c00, 0x3cff) | math.random(0, 1) << 15) end

local function noise_f32() return "\0\0" .. noise_bf16() end

-- A scale of 2^-7 or so, then codes.
local function noise_mxfp4()
  return string.pack("<BI8I8", math.random(119, 121), math.random(0), math.random(0))
end

local function piece_of(noise)
  local items, count = {}, PIECE // #noise()
  for i = 1, count do items[i] = noise() end
  return table.concat(items)
end

local function write_tensor(file, tensor, pieces)
  local left = bytes_of(tensor)
  local piece = tensor.name:find "norm" and string.pack("<f", 1):rep(left // 4) or pieces[tensor.kind]
  while left > 0 do
    file:write(left >= #piece and piece or piece:sub(1, left))
    left = left - math.min(left, #piece)
  end
  file:write(("\0"):rep(padding(bytes_of(tensor))))
end

-- ---- the program ----

local path, out = arg[1], arg[2]
if #arg ~= 2 then fail("want CONFIG OUT.gguf") end
local source = io.open(path) or fail("%s: cannot read the file", path)
local from, messages = config.parse(source:read("a"), path)
if not from then fail("%s", table.concat(messages, "\n")) end
if from.quant_method ~= "mxfp4" or from.rope.rope_type ~= "yarn" or from.tie_word_embeddings then
  fail("%s: want MXFP4 experts, YaRN and an unembedding of its own, found another model", path)
end
math.randomseed(1)
local pieces = { [F32] = piece_of(noise_f32), [BF16] = piece_of(noise_bf16), [MXFP4] = piece_of(noise_mxfp4) }
local keys, tensors = keys_of(from), tensors_of(from)
local head = string.pack("<c4I4I8I8", "GGUF", 3, #tensors, #keys) .. table.concat(keys)
  .. table.concat(infos_of(tensors))
local file = assert(io.open(out, "wb"))
file:write(head, ("\0"):rep(padding(#head)))
for _, tensor in ipairs(tensors) do write_tensor(file, tensor, pieces) end
assert(file:close())
