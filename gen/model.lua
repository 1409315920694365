-- model.describe: config -> model, our description of the network. model.check is its gate.
--
-- model = {
--   n_layers, d_model, d_ff, n_heads, n_kv_heads, d_head, n_experts, top_k, vocab, max_positions,
--                                   -- integers
--   window,                         -- integer, or nil: no layer is sliding
--   layers = { { index = 0, attention = "sliding" or "full" }, ... }, -- n_layers of them
--   eps, limit, alpha,              -- floats: eps of the RMSNorms, limit and alpha of the SwiGLU
--   attention_bias, tied,           -- booleans: q, k, v, o have biases; unembedding = embedding
--   experts = "mxfp4" or "plain",   -- storage of the expert matrices in the checkpoint
--   dtype = "BF16", "F16" or "F32", -- of all other tensors (of all tensors if experts are plain), as in
--                                   -- safetensors
--   rope = {
--     inv_freq,                     -- d_head / 2 floats: radians per position
--     scale,                        -- float: factor on cos and sin
--     parameters,                   -- config.rope, for printing
--   },
-- }

local model = {}

local DTYPES <const> = { bfloat16 = "BF16", float16 = "F16", float32 = "F32" }

-- Bounds on products, so that later stages may multiply: features of a matrix fit an int32_t, bytes of
-- all tensors fit Lua's integers.
local MAX_FEATURES <const> = 2147483647
local MAX_PARAMETERS <const> = 1 << 50

local function clamp(x, low, high) return math.min(math.max(x, low), high) end

-- The factor on cos and sin for a context that is stretched by `factor`: get_mscale in
-- _compute_yarn_parameters of transformers' modeling_rope_utils.py.
local function magnitude(factor, weight)
  if factor <= 1 then return 1.0 end
  return 0.1 * weight * math.log(factor) + 1.0
end

local function yarn_scale(rope)
  if rope.attention_factor then return rope.attention_factor end
  if rope.mscale and rope.mscale_all_dim then
    return magnitude(rope.factor, rope.mscale) / magnitude(rope.factor, rope.mscale_all_dim)
  end
  return magnitude(rope.factor, 1.0)
end

-- The pairs between which YaRN changes from extrapolation to interpolation: those that turn beta_fast
-- and beta_slow times in the original context. find_correction_range of the same file.
local function yarn_range(rope, d_head)
  local function pair_of(turns)
    local length = rope.original_max_position_embeddings / (turns * 2 * math.pi)
    return d_head * math.log(length) / (2 * math.log(rope.rope_theta))
  end
  local low, high = pair_of(rope.beta_fast), pair_of(rope.beta_slow)
  if rope.truncate then low, high = math.floor(low), math.ceil(high) end
  low, high = math.max(low, 0), math.min(high, d_head - 1)
  if low == high then high = high + 0.001 end
  return low, high
end

-- The d_head / 2 frequencies, in double precision; transformers computes the same in float.
local function frequencies(rope, d_head)
  local yarn = rope.rope_type == "yarn"
  local low, high = 0, 0
  if yarn then low, high = yarn_range(rope, d_head) end
  local inv_freq = {}
  for i = 0, d_head // 2 - 1 do
    local period = rope.rope_theta ^ (2 * i / d_head)
    local ramp = yarn and clamp((i - low) / (high - low), 0.0, 1.0) or 0.0
    local interpolated = ramp > 0 and ramp / (rope.factor * period) or 0.0
    inv_freq[i + 1] = interpolated + (1 - ramp) / period
  end
  return inv_freq
end

local function describe_rope(rope, d_head)
  return {
    inv_freq = frequencies(rope, d_head),
    scale = rope.rope_type == "yarn" and yarn_scale(rope) or 1.0,
    parameters = rope,
  }
end

-- -> the layers, and the window if one of them is sliding. Without a window every layer is full, even
-- if its type says otherwise.
local function describe_layers(config)
  local layers, window = {}, nil
  for i, layer_type in ipairs(config.layer_types) do
    local sliding = layer_type == "sliding_attention" and config.sliding_window ~= nil
    if sliding then window = config.sliding_window end
    layers[i] = { index = i - 1, attention = sliding and "sliding" or "full" }
  end
  return layers, window
end

function model.describe(config)
  local layers, window = describe_layers(config)
  return {
    n_layers = config.num_hidden_layers,
    d_model = config.hidden_size,
    d_ff = config.intermediate_size,
    n_heads = config.num_attention_heads,
    n_kv_heads = config.num_key_value_heads,
    d_head = config.head_dim,
    n_experts = config.num_local_experts,
    top_k = config.num_experts_per_tok,
    vocab = config.vocab_size,
    max_positions = config.max_position_embeddings,
    window = window,
    layers = layers,
    eps = config.rms_norm_eps,
    limit = config.swiglu_limit,
    alpha = config.swiglu_alpha,
    attention_bias = config.attention_bias,
    tied = config.tie_word_embeddings,
    experts = config.quant_method == "mxfp4" and "mxfp4" or "plain",
    dtype = DTYPES[config.dtype],
    rope = describe_rope(config.rope, config.head_dim),
  }
end

local function demand(condition, format, ...)
  if not condition then error("model: " .. string.format(format, ...), 0) end
end

-- Floats, since the products of unchecked sizes may not fit an integer.
local function parameters_of(m)
  local d_model, qkv = m.d_model + 0.0, (m.n_heads + 2.0 * m.n_kv_heads) * m.d_head
  local layer = d_model * (qkv + m.n_heads * m.d_head) + m.n_experts * (3.0 * m.d_ff + 1) * d_model
  return m.n_layers * layer + 2.0 * m.vocab * d_model
end

local function check_layers(m)
  local sliding = 0
  demand(#m.layers == m.n_layers, "layers: want n_layers, %d, got %d", m.n_layers, #m.layers)
  for i, layer in ipairs(m.layers) do
    demand(layer.index == i - 1, "layers[%d]: want index %d, got %d", i, i - 1, layer.index)
    if layer.attention == "sliding" then sliding = sliding + 1 end
  end
  demand((m.window ~= nil) == (sliding > 0), "window: want one if a layer is sliding, and only then")
end

local function check_rope(m)
  local inv_freq = m.rope.inv_freq
  demand(#inv_freq == m.d_head // 2, "rope: want %d frequencies, got %d", m.d_head // 2, #inv_freq)
  for i, f in ipairs(inv_freq) do
    demand(f > 0 and f <= 1, "rope.inv_freq[%d]: want a number in (0, 1], got %.17g", i, f)
  end
end

-- The gate after describe: raises one line that names the error, if later stages cannot rely on the
-- model.
function model.check(m)
  demand(m.d_head % 2 == 0, "d_head: want an even number, got %d", m.d_head)
  demand(m.n_heads % m.n_kv_heads == 0, "n_heads: want a multiple of n_kv_heads, %d, got %d",
    m.n_kv_heads, m.n_heads)
  demand(m.top_k <= m.n_experts, "top_k: want at most n_experts, %d, got %d", m.n_experts, m.top_k)
  local qkv = (m.n_heads + 2 * m.n_kv_heads) * m.d_head
  demand(qkv <= MAX_FEATURES, "(n_heads + 2 * n_kv_heads) * d_head: want at most %d, got %d", MAX_FEATURES, qkv)
  demand(2 * m.d_ff <= MAX_FEATURES, "2 * d_ff: want at most %d, got %d", MAX_FEATURES, 2 * m.d_ff)
  local parameters = parameters_of(m)
  demand(parameters <= MAX_PARAMETERS, "want at most 2^50 parameters, got %.3g", parameters)
  check_layers(m)
  check_rope(m)
end

return model
