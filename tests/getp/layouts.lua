-- Writes a checkpoint in other layouts: unpacked, OpenAI's original, and the .bin of the contest's exporter. All of
-- them hold the values of the checkpoint exactly.
--
-- tensors = { [name] = { dtype, shape, bytes } }

local json = require "dkjson"
local lfs = require "lfs"
local support = require "tests.support"

local layouts = {}

-- ---- safetensors ----

-- The tensors of all safetensors of a folder.
function layouts.read(folder)
  local tensors = {}
  for file in lfs.dir(folder) do
    if file:find("%.safetensors$") then
      local contents = support.read(folder .. "/" .. file)
      local length = string.unpack("<I8", contents)
      for name, entry in pairs(json.decode(contents:sub(9, 8 + length))) do
        if name ~= "__metadata__" then
          local first, last = table.unpack(entry.data_offsets)
          tensors[name] = { dtype = entry.dtype, shape = entry.shape,
            bytes = contents:sub(9 + length + first, 8 + length + last) }
        end
      end
    end
  end
  return tensors
end

-- The bytes of a safetensors file; the tensors lie in the order of their names.
function layouts.safetensors(tensors)
  local names, header, data, offset = {}, {}, {}, 0
  for name in pairs(tensors) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local tensor = tensors[name]
    header[name] = { dtype = tensor.dtype, shape = tensor.shape, data_offsets = { offset, offset + #tensor.bytes } }
    data[i] = tensor.bytes
    offset = offset + #tensor.bytes
  end
  local text = json.encode(header)
  return string.pack("<I8", #text) .. text .. table.concat(data)
end

-- ---- unpacked ----

local E2M1 <const> = { [0] = 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0 }

-- For each byte of codes, its two numbers times 2^(scale - 127) as BF16.
local function bf16_pairs(scale)
  local of = {}
  for code = 0, 15 do of[code] = string.pack("<f", E2M1[code] * 2.0 ^ (scale - 127)):sub(3, 4) end
  local both = {}
  for byte = 0, 255 do both[byte] = of[byte & 15] .. of[byte >> 4] end
  return both
end

-- MXFP4 blocks and scales -> BF16 (experts, features, columns).
local function expand(blocks, scales)
  local experts, features, groups = table.unpack(scales.shape)
  local tables, out = {}, {}
  for group = 1, experts * features * groups do
    local scale = scales.bytes:byte(group)
    tables[scale] = tables[scale] or bf16_pairs(scale)
    for byte = 16 * group - 15, 16 * group do out[byte] = tables[scale][blocks.bytes:byte(byte)] end
  end
  return { dtype = "BF16", shape = { experts, features, 32 * groups }, bytes = table.concat(out) }
end

-- (n, rows, columns) -> (n, columns, rows)
local function transposed(tensor)
  local n, rows, columns = table.unpack(tensor.shape)
  local width = #tensor.bytes // (n * rows * columns)
  local out = {}
  for matrix = 0, n - 1 do
    for column = 0, columns - 1 do
      for row = 0, rows - 1 do
        local at = ((matrix * rows + row) * columns + column) * width
        out[#out + 1] = tensor.bytes:sub(at + 1, at + width)
      end
    end
  end
  return { dtype = tensor.dtype, shape = { n, columns, rows }, bytes = table.concat(out) }
end

-- HF's tensors with MXFP4 -> HF's tensors with unpacked experts.
function layouts.unpacked(tensors)
  local out = {}
  for name, tensor in pairs(tensors) do
    local stem = name:match("^(.*)_blocks$")
    if stem then
      out[stem] = transposed(expand(tensor, tensors[stem .. "_scales"]))
    elseif not name:find("_scales$") then
      out[name] = tensor
    end
  end
  return out
end

-- BF16 -> F32
function layouts.widened(tensors)
  local out = {}
  for name, tensor in pairs(tensors) do
    assert(tensor.dtype == "BF16", name)
    out[name] = { dtype = "F32", shape = tensor.shape, bytes = (tensor.bytes:gsub("..", "\0\0%0")) }
  end
  return out
end

-- ---- OpenAI's original layout ----

local NAMES <const> = {
  ["model.embed_tokens.weight"] = "embedding.weight", ["lm_head.weight"] = "unembedding.weight",
  ["model.norm.weight"] = "norm.scale", ["input_layernorm.weight"] = "attn.norm.scale",
  ["post_attention_layernorm.weight"] = "mlp.norm.scale", ["self_attn.o_proj.weight"] = "attn.out.weight",
  ["self_attn.o_proj.bias"] = "attn.out.bias", ["self_attn.sinks"] = "attn.sinks",
  ["mlp.router.weight"] = "mlp.gate.weight", ["mlp.router.bias"] = "mlp.gate.bias",
  ["mlp.experts.gate_up_proj_bias"] = "mlp.mlp1_bias", ["mlp.experts.down_proj_bias"] = "mlp.mlp2_bias",
  ["mlp.experts.gate_up_proj_blocks"] = "mlp.mlp1_weight.blocks",
  ["mlp.experts.gate_up_proj_scales"] = "mlp.mlp1_weight.scales",
  ["mlp.experts.down_proj_blocks"] = "mlp.mlp2_weight.blocks",
  ["mlp.experts.down_proj_scales"] = "mlp.mlp2_weight.scales",
  ["mlp.experts.gate_up_proj"] = "mlp.mlp1_weight", ["mlp.experts.down_proj"] = "mlp.mlp2_weight",
}

local function joined(parts)
  local rows, bytes = 0, {}
  for i, part in ipairs(parts) do
    rows = rows + part.shape[1]
    bytes[i] = part.bytes
  end
  return { dtype = parts[1].dtype, shape = { rows, parts[1].shape[2] }, bytes = table.concat(bytes) }
end

-- HF's tensors, packed or unpacked -> OpenAI's.
function layouts.original(tensors)
  local out = {}
  for name, tensor in pairs(tensors) do
    local layer, rest = name:match("^model%.layers%.(%d+)%.(.*)$")
    local prefix = layer and "block." .. layer .. "." or ""
    local head, kind = (rest or ""):match("^self_attn%.([qkv])_proj%.(.*)$")
    if head == "q" then
      local parts = {}
      for i, each in ipairs { "q", "k", "v" } do
        parts[i] = tensors[string.format("model.layers.%s.self_attn.%s_proj.%s", layer, each, kind)]
      end
      out[prefix .. "attn.qkv." .. kind] = joined(parts)
    elseif not head then
      local new = assert(NAMES[rest or name], name)
      out[prefix .. new] = new:find("mlp%d_weight$") and transposed(tensor) or tensor
    end
  end
  return out
end

-- ---- .bin ----

local ARRAYS <const> = { "embedding.weight", "unembedding.weight", "*attn.norm.scale", "*mlp.norm.scale", "norm.scale",
  "*attn.qkv.weight", "*attn.qkv.bias", "*attn.out.weight", "*attn.out.bias", "*attn.sinks", "*mlp.gate.weight",
  "*mlp.gate.bias", "*mlp.mlp1_weight", "*mlp.mlp1_bias", "*mlp.mlp2_weight", "*mlp.mlp2_bias" }

-- The header for a config of HF's.
function layouts.header(config)
  local rope = config.rope_scaling
  return string.pack("<i4i4i4i4i4i4i4i4i4i4i4ffi4f", config.vocab_size, config.hidden_size, config.num_local_experts,
    config.num_experts_per_tok, config.intermediate_size, config.num_hidden_layers, config.head_dim,
    config.num_attention_heads, config.num_key_value_heads, 2048, rope.original_max_position_embeddings,
    config.rope_theta, rope.factor, config.sliding_window, config.swiglu_limit)
end

-- HF's unpacked tensors and config -> a .bin of their dtype.
function layouts.bin(tensors, config)
  local original, pieces = layouts.original(tensors), { layouts.header(config) }
  for _, array in ipairs(ARRAYS) do
    local in_layers, name = array:match("^(%*?)(.*)$")
    if in_layers == "" then pieces[#pieces + 1] = original[name].bytes end
    for layer = 0, in_layers == "" and -1 or config.num_hidden_layers - 1 do
      pieces[#pieces + 1] = original[string.format("block.%d.%s", layer, name)].bytes
    end
  end
  return table.concat(pieces)
end

-- ---- configs ----

-- HF's config -> the text of OpenAI's original config.json.
function layouts.original_config(config)
  local rope = config.rope_scaling
  return json.encode {
    num_hidden_layers = config.num_hidden_layers, num_experts = config.num_local_experts,
    experts_per_token = config.num_experts_per_tok, vocab_size = config.vocab_size, hidden_size = config.hidden_size,
    intermediate_size = config.intermediate_size, swiglu_limit = config.swiglu_limit, head_dim = config.head_dim,
    num_attention_heads = config.num_attention_heads, num_key_value_heads = config.num_key_value_heads,
    sliding_window = config.sliding_window, initial_context_length = rope.original_max_position_embeddings,
    rope_theta = config.rope_theta, rope_scaling_factor = rope.factor, rope_ntk_alpha = rope.beta_slow,
    rope_ntk_beta = rope.beta_fast,
  }
end

return layouts
