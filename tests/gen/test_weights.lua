-- gen/weights.lua: the tensors against the published inventory, sizes and parameter counts of gpt-oss, and against the
-- headers of checkpoints that transformers has written; the gate.
-- luacheck: globals TestInventory TestSizes TestStorage TestCheckpoints TestCheck
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
local json = require "dkjson"
local lfs = require "lfs"
local lu = require "luaunit"
local weights = require "gen.weights"

local function list_of(path, change) return weights.list(chain.model(path, change), cpu) end

local function elements(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

TestInventory = {}

-- The names and shapes of a layer of gpt-oss in Hugging Face's checkpoints. E: the number of experts.
local LAYER <const> = [[
  input_layernorm.weight 2880
  self_attn.q_proj.weight 4096 2880
  self_attn.q_proj.bias 4096
  self_attn.k_proj.weight 512 2880
  self_attn.k_proj.bias 512
  self_attn.v_proj.weight 512 2880
  self_attn.v_proj.bias 512
  self_attn.o_proj.weight 2880 4096
  self_attn.o_proj.bias 2880
  self_attn.sinks 64
  post_attention_layernorm.weight 2880
  mlp.router.weight E 2880
  mlp.router.bias E
  mlp.experts.gate_up_proj_blocks E 5760 90 16
  mlp.experts.gate_up_proj_scales E 5760 90
  mlp.experts.gate_up_proj_bias E 5760
  mlp.experts.down_proj_blocks E 2880 90 16
  mlp.experts.down_proj_scales E 2880 90
  mlp.experts.down_proj_bias E 2880
]]

local function inventory(n_layers, n_experts)
  local lines = { "model.embed_tokens.weight 201088 2880", "model.norm.weight 2880", "lm_head.weight 201088 2880" }
  for layer = 0, n_layers - 1 do
    for line in LAYER:gmatch("[^\n]+") do
      lines[#lines + 1] = string.format("model.layers.%d.%s", layer, line:gsub("^ +", ""):gsub("E", n_experts))
    end
  end
  return lines
end

-- The tensors of the checkpoint that the list needs are those of the inventory.
local function assert_inventory(path, n_layers, n_experts, count)
  local found, want = {}, inventory(n_layers, n_experts)
  for name, shape in pairs(chain.in_checkpoint(list_of(path))) do
    found[#found + 1] = name .. " " .. table.concat(shape, " ")
  end
  lu.assertEquals(#found, count)
  table.sort(found)
  table.sort(want)
  lu.assertEquals(found, want)
end

function TestInventory.test_gpt_oss_20b() assert_inventory(chain.GPT_OSS_20B, 24, 32, 459) end
function TestInventory.test_gpt_oss_120b() assert_inventory(chain.GPT_OSS_120B, 36, 128, 687) end

function TestInventory.test_order_and_symbols()
  local symbols = {}
  for i, tensor in ipairs(list_of(chain.GPT_OSS_20B).tensors) do symbols[i] = tensor.symbol end
  lu.assertEquals(table.concat(symbols, " ", 1, 21), "W_EMBED W_NORM W_UNEMBED W_00_ATTN_NORM W_00_Q W_00_K "
    .. "W_00_V W_00_O W_00_Q_BIAS W_00_K_BIAS W_00_V_BIAS W_00_O_BIAS W_00_SINKS W_00_MLP_NORM W_00_ROUTER "
    .. "W_00_ROUTER_BIAS W_00_GATE_UP W_00_GATE_UP_BIAS W_00_DOWN W_00_DOWN_BIAS W_01_ATTN_NORM")
  lu.assertEquals(symbols[#symbols], "W_23_DOWN_BIAS")
  lu.assertEquals(#symbols, 3 + 24 * 17)
end

function TestInventory.test_no_attention_bias()
  local list = list_of(chain.GPT_OSS_20B, function(c) c.attention_bias = false end)
  lu.assertEquals(#list.tensors, 3 + 24 * (17 - 4))
  for _, tensor in ipairs(list.tensors) do lu.assertNil(tensor.name:find("_proj%.bias")) end
  lu.assertNotNil(list.of.W_00_ROUTER_BIAS)
end

function TestInventory.test_tied()
  local list = list_of(chain.GPT_OSS_20B, function(c) c.tie_word_embeddings = true end)
  lu.assertEquals(list.of.W_UNEMBED.name, "model.embed_tokens.weight")
  lu.assertEquals(list.of.W_UNEMBED.shape, { 201088, 2880 })
end

-- Unpacked experts have the shape [experts, inputs, outputs] in the checkpoint.
function TestInventory.test_plain_experts()
  local list = list_of(chain.GPT_OSS_20B, function(c) c.quant_method = nil end)
  lu.assertEquals(#list.tensors, 3 + 24 * 17)
  lu.assertEquals({ list.of.W_00_GATE_UP.form, list.of.W_00_DOWN.form }, { "TRANSPOSED", "TRANSPOSED" })
  local found = chain.in_checkpoint(list)
  lu.assertEquals(found["model.layers.0.mlp.experts.gate_up_proj"], { 32, 2880, 5760 })
  lu.assertEquals(found["model.layers.0.mlp.experts.down_proj"], { 32, 2880, 2880 })
  found = chain.in_checkpoint(list_of("tests/models/rand_bf16/config.json"))
  lu.assertEquals(found["model.layers.1.mlp.experts.gate_up_proj"], { 4, 160, 448 })
  lu.assertEquals(found["model.layers.1.mlp.experts.down_proj"], { 4, 224, 160 })
end

TestSizes = {}

-- Bytes of a checkpoint whose tensors are BF16, except the packed experts.
local function checkpoint_bytes(list)
  local bytes = 0
  for name, shape in pairs(chain.in_checkpoint(list)) do
    bytes = bytes + elements(shape) * ((name:find("_blocks$") or name:find("_scales$")) and 1 or 2)
  end
  return bytes
end

-- -> the parameters of the expert matrices, and all others.
local function parameters(list)
  local experts, others = 0, 0
  for _, tensor in ipairs(list.tensors) do
    local n = elements(tensor.shape)
    if tensor.form == "MXFP4" then experts = experts + n else others = others + n end
  end
  return experts, others
end

function TestSizes.test_published_bytes()
  lu.assertEquals(checkpoint_bytes(list_of(chain.GPT_OSS_20B)), 13761264768)
  lu.assertEquals(checkpoint_bytes(list_of(chain.GPT_OSS_120B)), 65248815744)
end

function TestSizes.test_published_parameters()
  lu.assertEquals({ parameters(list_of(chain.GPT_OSS_20B)) }, { 19110297600, 1804459584 })
  lu.assertEquals({ parameters(list_of(chain.GPT_OSS_120B)) }, { 114661785600, 2167371072 })
end

-- The vectors of gpt-oss-20b, all of which fill cache lines: the last norm of 2880, and in each layer two norms, the
-- biases of q, k, v and o, the sinks, and the biases of the router and the experts. They become F32. All features fill
-- panels, and each panel of an expert has 1440 bytes of scales, padded to 1472. The embedding stays in the checkpoint.
function TestSizes.test_mapped_and_packed_of_20b()
  local list = list_of(chain.GPT_OSS_20B)
  local vectors = 2880 + 24 * (2 * 2880 + 4096 + 2 * 512 + 2880 + 64 + 32 + 32 * (5760 + 2880))
  local embedding, panels_of_experts = 201088 * 2880 * 2, 24 * 32 * (5760 + 2880) // 16
  lu.assertEquals(list.mapped_bytes, embedding)
  lu.assertEquals(list.packed_bytes, 13761264768 - embedding + 2 * vectors + 32 * panels_of_experts)
end

TestStorage = {}

-- "form shape stored layout bytes" of these symbols, the bytes with "*" if the tensor is packed.
local function assert_stored(path, want)
  local list = list_of(path)
  for symbol, text in pairs(want) do
    local tensor = list.of[symbol]
    lu.assertEquals(table.concat({ tensor.form, table.concat(tensor.shape, " "), tensor.stored, tensor.layout,
      tensor.bytes .. (tensor.offset and "*" or "") }, ", "), text, symbol)
  end
end

-- Only the embedding stays in the checkpoint. A panel of 2880 columns has 360 x 64 bytes of codes, and 1440 of scales
-- that are padded to 1472.
function TestStorage.test_gpt_oss_20b()
  assert_stored(chain.GPT_OSS_20B, {
    W_EMBED = "PLAIN, 201088 2880, BF16, CONTIGUOUS, 1158266880",
    W_UNEMBED = "PLAIN, 201088 2880, BF16, PANELS, 1158266880*",
    W_00_ATTN_NORM = "PLAIN, 2880, F32, CONTIGUOUS, 11520*",
    W_00_Q = "PLAIN, 4096 2880, BF16, PANELS, 23592960*",
    W_00_ROUTER = "PLAIN, 32 2880, BF16, PANELS, 184320*",
    W_00_GATE_UP = "MXFP4, 32 5760 2880, MXFP4, PANELS, 282378240*", -- 32 * 360 * (23040 + 1472)
    W_00_DOWN = "MXFP4, 32 2880 2880, MXFP4, PANELS, 141189120*",
  })
end

-- The features of a router are padded to 16.
function TestStorage.test_unpacked_experts_and_other_dtypes()
  assert_stored("tests/models/rand_bf16/config.json", {
    W_EMBED = "PLAIN, 384 160, BF16, CONTIGUOUS, 122880",
    W_01_GATE_UP = "TRANSPOSED, 4 448 160, BF16, PANELS, 573440*",
    W_01_GATE_UP_BIAS = "PLAIN, 4 448, F32, CONTIGUOUS, 7168*",
    W_01_ROUTER = "PLAIN, 4 160, BF16, PANELS, 5120*",
  })
  assert_stored("tests/models/odd_f32/config.json", {
    W_EMBED = "PLAIN, 79 32, F32, CONTIGUOUS, 10112",
    W_00_ROUTER = "PLAIN, 3 32, F32, PANELS, 2048*",
    W_00_SINKS = "PLAIN, 5, F32, CONTIGUOUS, 20*",
  })
end

-- F16 becomes F32, which holds it exactly, and so nothing stays in the checkpoint.
function TestStorage.test_f16()
  local list = list_of("tests/models/odd_f16/config.json")
  for _, tensor in ipairs(list.tensors) do
    lu.assertEquals({ tensor.stored, tensor.offset ~= nil }, { "F32", true }, tensor.symbol)
  end
  lu.assertEquals(list.mapped_bytes, 0)
end

local function round_up(n, to) return (n + to - 1) // to * to end

-- The bytes of n features of k columns, by hand from runtime/formats/panels.h.
local function bytes_in_panels(n, k, stored)
  if stored == "F32" then return round_up(n, 16) * k * 4 end
  if stored == "BF16" then return round_up(n, 16) * round_up(k, 2) * 2 end
  return round_up(n, 16) // 16 * (16 * k // 2 + round_up(16 * k // 32, 64))
end

-- Packed tensors follow one another at cache lines.
function TestStorage.test_bytes_and_offsets()
  for _, path in ipairs(chain.configs()) do
    local list, mapped, last = list_of(path), 0, 0
    for _, tensor in ipairs(list.tensors) do
      local bytes, shape = elements(tensor.shape) * (tensor.stored == "BF16" and 2 or 4), tensor.shape
      if tensor.layout == "PANELS" then
        bytes = (#shape == 3 and shape[1] or 1) * bytes_in_panels(shape[#shape - 1], shape[#shape], tensor.stored)
      end
      lu.assertEquals(tensor.bytes, bytes, path .. ": " .. tensor.symbol)
      lu.assertIs(list.of[tensor.symbol], tensor)
      if tensor.offset then
        lu.assertEquals(tensor.offset, round_up(last, 64), path .. ": " .. tensor.symbol)
        last = tensor.offset + tensor.bytes
      else
        mapped = mapped + tensor.bytes
      end
    end
    lu.assertEquals({ list.mapped_bytes, list.packed_bytes }, { mapped, round_up(last, 64) })
  end
end

TestCheckpoints = {}

-- { [tensor] = "BF16 1024 192" } for the checkpoint in a folder.
local function headers(folder)
  local found = {}
  for file in lfs.dir(folder) do
    if file:find("%.safetensors$") then
      local text = chain.read(folder .. "/" .. file)
      for name, entry in pairs(json.decode(text:sub(9, 8 + string.unpack("<I8", text)))) do
        if name ~= "__metadata__" then found[name] = entry.dtype .. " " .. table.concat(entry.shape, " ") end
      end
    end
  end
  return found
end

-- The generator expects exactly the tensors that transformers saved. A vector may have any dtype.
function TestCheckpoints.test_all_of_tests_models()
  local n = 0
  for _, path in ipairs(chain.configs()) do
    local folder = path:match("^(tests/models/.*)/config.json$")
    local want = folder and headers(folder)
    if want and next(want) then
      n = n + 1
      local model, found = chain.model(path), {}
      for name, shape in pairs(chain.in_checkpoint(weights.list(model, cpu))) do
        local dtype = (name:find("_blocks$") or name:find("_scales$")) and "U8" or model.dtype
        found[name] = dtype .. " " .. table.concat(shape, " ")
      end
      lu.assertEquals(found, want, path)
    end
  end
  lu.assertTrue(n >= 4, "too few checkpoints")
end

TestCheck = {}

local function assert_refused(message, change)
  local list = list_of("tests/models/abacus/config.json")
  weights.check(list)
  change(list)
  chain.refused(message, weights.check, list)
end

function TestCheck.test_symbol_twice()
  assert_refused("W_00_Q is listed twice", function(list) list.of.W_03_DOWN.symbol = "W_00_Q" end)
end

function TestCheck.test_overlap()
  assert_refused("W_00_Q overlaps the tensor before it",
    function(list) list.of.W_00_ATTN_NORM.bytes = list.of.W_00_ATTN_NORM.bytes + 1 end)
  assert_refused("W_02_SINKS overlaps the tensor before it", function(list) list.of.W_02_SINKS.offset = 0 end)
end

function TestCheck.test_end()
  assert_refused("the packed weights run over their end",
    function(list) list.packed_bytes = list.packed_bytes - 64 end)
end

os.exit(lu.LuaUnit.run())
