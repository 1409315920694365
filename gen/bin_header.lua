-- The 60 bytes at the beginning of a .bin file of the contest's exporter, which say what its config.json says. Nothing
-- in them says the dtype of the tensors, but the size of the file does.

local bin_header = {}

-- The keys in their order: i is an int32_t, f a float, both little-endian.
local FIELDS <const> = {
  { "vocab_size", "i4" }, { "hidden_size", "i4" }, { "num_experts", "i4" }, { "experts_per_token", "i4" },
  { "intermediate_size", "i4" }, { "num_hidden_layers", "i4" }, { "head_dim", "i4" }, { "num_attention_heads", "i4" },
  { "num_key_value_heads", "i4" }, { "max_seq_len", "i4" }, { "initial_context_length", "i4" }, { "rope_theta", "f" },
  { "rope_scaling_factor", "f" }, { "sliding_window", "i4" }, { "swiglu_limit", "f" },
}
local METAL_MAGIC <const> = "GPT-OSS v1.0\0" -- of OpenAI's model.bin for Metal, which is another format

bin_header.BYTES = 4 * #FIELDS

-- header: the first BYTES of a file, or fewer -> { [key] = number }, or nil and what is wrong.
function bin_header.read(header)
  if header:sub(1, #METAL_MAGIC) == METAL_MAGIC then
    return nil, "want a .bin file of the exporter, got OpenAI's model for Metal: use the safetensors of the same model"
  end
  if #header < bin_header.BYTES then
    return nil, string.format("want a header of %d bytes, got %d", bin_header.BYTES, #header)
  end
  local object = {}
  for i, field in ipairs(FIELDS) do object[field[1]] = string.unpack("<" .. field[2], header, 4 * i - 3) end
  return object
end

-- The numbers of all tensors of the file.
local function elements_of(config)
  local hidden, ff, experts = config.hidden_size, config.intermediate_size, config.num_local_experts
  local q, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
  local attention = hidden + (q + 2 * kv) * (hidden + 1) + hidden * (q + 1) + config.num_attention_heads
  local mlp = hidden + experts * (hidden + 1) + experts * (2 * ff * (hidden + 1) + hidden * (ff + 1))
  return 2 * config.vocab_size * hidden + hidden + config.num_hidden_layers * (attention + mlp)
end

-- The dtype of the tensors in a file of so many bytes, or nil and what is wrong.
function bin_header.dtype(config, bytes)
  local elements = elements_of(config)
  local of_float32, of_bfloat16 = bin_header.BYTES + 4 * elements, bin_header.BYTES + 2 * elements
  if bytes == of_float32 then return "float32" end
  if bytes == of_bfloat16 then return "bfloat16" end
  return nil, string.format("want %d bytes (float32) or %d (bfloat16) by the sizes in its header, got %d", of_float32,
    of_bfloat16, bytes)
end

return bin_header
