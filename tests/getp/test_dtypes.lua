-- The dtypes of a checkpoint's tensors: every tensor that the model uses may be BF16, F16 or F32, one by one. The same
-- numbers give the same logits to the bit in every tree, and the same packed file. Unused tensors may be anything.
-- (`lua5.4 tests/gpu/run.lua simt_64 abacus` builds the trees of the CPU harness.)
-- luacheck: globals TestDtypes TestRounding TestUnused

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local support = require "tests.support"

local FOLDER = support.scratch .. "/dtypes"
local OUT = support.scratch .. "/dtypes.out"
local BYTES <const> = { BF16 = 2, F16 = 2, F32 = 4 }
local FLOATS <const> = { "BF16", "F16", "F32" }

-- ---- safetensors ----

-- The tensors of a model in one file -> list of { name, dtype, shape, data }, in the order of the file.
local function read_tensors(model)
  local bytes = support.read("tests/models/" .. model .. "/model.safetensors")
  local length = string.unpack("<I8", bytes)
  local list = {}
  for name, entry in pairs(json.decode(bytes:sub(9, 8 + length))) do
    local first, last = table.unpack(entry.data_offsets or {})
    if first then
      list[#list + 1] = { name = name, dtype = entry.dtype, shape = entry.shape, first = first,
        data = bytes:sub(9 + length + first, 8 + length + last) }
    end
  end
  table.sort(list, function(a, b)
    if a.first ~= b.first then return a.first < b.first end
    return a.name < b.name
  end)
  return list
end

local function file_of(list)
  local header, data, at = {}, {}, 0
  for i, tensor in ipairs(list) do
    header[i] = string.format('"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}', tensor.name, tensor.dtype,
      table.concat(tensor.shape, ","), at, at + #tensor.data)
    data[i] = tensor.data
    at = at + #tensor.data
  end
  local text = "{" .. table.concat(header, ",") .. "}"
  return string.pack("<I8", #text) .. text .. table.concat(data)
end

-- A checkpoint folder of the model with these tensors.
local function folder_of(model, list, config)
  return support.folder("dtypes", "tests/models/" .. model,
    { ["model.safetensors"] = file_of(list), ["config.json"] = config })
end

-- ---- numbers ----

-- The bits of the float32 that each number of a tensor is. Halves that are subnormal, infinite or NaN do not occur.
local function bits_of(tensor)
  local bits, width = {}, BYTES[tensor.dtype]
  for i = 0, #tensor.data // width - 1 do
    local x = string.unpack(width == 4 and "<I4" or "<I2", tensor.data, i * width + 1)
    if tensor.dtype == "BF16" then
      x = x << 16
    elseif tensor.dtype == "F16" then
      x = (x & 0x8000) << 16 | ((x & 0x7fff) > 0 and (x & 0x7fff) + (112 << 10) << 13 or 0)
    end
    bits[i + 1] = x
  end
  return bits
end

-- Numbers that every dtype holds: the upper 8 bits of the significand, and 0 for those below 2^-14.
local function for_every_dtype(bits)
  local rounded = {}
  for i, x in ipairs(bits) do
    local exponent = x >> 23 & 255
    rounded[i] = exponent < 113 and x & 0x80000000 or x & 0xffff0000
    assert(exponent < 143, "too large for a half")
  end
  return rounded
end

local NARROW <const> = {
  F32 = function(x) return x end,
  BF16 = function(x) return x >> 16 end,
  F16 = function(x)
    local number = x & 0x7fffffff
    return x >> 16 & 0x8000 | (number > 0 and (number >> 13) - (112 << 10) or 0)
  end,
}

-- The same tensor in another dtype.
local function as(tensor, dtype)
  if not tensor.bits or tensor.dtype == dtype then return tensor end
  local data, format = {}, BYTES[dtype] == 4 and "<I4" or "<I2"
  for i, x in ipairs(tensor.bits) do data[i] = string.pack(format, NARROW[dtype](x)) end
  return { name = tensor.name, dtype = dtype, shape = tensor.shape, bits = tensor.bits, data = table.concat(data) }
end

local function map(list, change)
  local out = {}
  for i, tensor in ipairs(list) do out[i] = change(tensor, i) end
  return out
end

-- The tensors of a model in its own dtype, with numbers that every dtype holds.
local function common_tensors(model)
  return map(read_tensors(model), function(tensor)
    if not BYTES[tensor.dtype] then return tensor end
    local dtype = tensor.dtype
    tensor.bits, tensor.dtype = for_every_dtype(bits_of(tensor)), nil
    return as(tensor, dtype)
  end)
end

-- ---- runs ----

-- Runs getp, which may only remark that the model has no tokenizer.
local function run(program, arguments)
  local status, _, err = support.run(program .. " " .. arguments)
  lu.assertEquals((err:gsub("getp: %S+: want a tokenizer.json in it, found none: [^\n]*\n", "")), "", arguments)
  lu.assertEquals(status, 0, arguments)
end

local IDS = support.ids("dtypes.ids", { { 5, 6, 7, 8, 9, 41, 66, 2 }, { 3 } })

local function logits(program, folder)
  os.remove(OUT)
  run(program, string.format("%s -m logits -i %s -o %s", folder, IDS, OUT))
  return support.read(OUT)
end

local function packed(program, folder)
  os.remove(OUT)
  run(program, string.format("pack %s -o %s", folder, OUT))
  run(program, OUT .. " --verify")
  return support.read(OUT)
end

-- Every kind of tensor by a pattern of its name.
local KINDS <const> = { "embed_tokens", "lm_head", "model%.norm", "layernorm", "q_proj%.weight", "k_proj%.weight",
  "v_proj%.weight", "o_proj%.weight", "q_proj%.bias", "o_proj%.bias", "sinks", "router%.weight", "router%.bias",
  "experts%.gate_up_proj$", "experts%.down_proj$", "gate_up_proj_bias", "down_proj_bias" }

-- ---- the same numbers ----

TestDtypes = { tearDown = function() os.execute("rm -rf " .. FOLDER .. " " .. OUT) end }

local function mixed(list)
  return map(list, function(tensor, i) return tensor.bits and as(tensor, FLOATS[i % 3 + 1]) or tensor end)
end

local function check_model(program, model, kinds)
  local list = common_tensors(model)
  local want = logits(program, folder_of(model, list))
  for _, kind in ipairs(kinds) do
    for _, dtype in ipairs(FLOATS) do
      local changed = map(list, function(tensor) return tensor.name:find(kind) and as(tensor, dtype) or tensor end)
      lu.assertTrue(logits(program, folder_of(model, changed)) == want, model .. ": " .. kind .. " in " .. dtype)
    end
  end
  local want_file = packed(program, folder_of(model, list))
  local folder = folder_of(model, mixed(list))
  lu.assertTrue(logits(program, folder) == want, model .. ": all dtypes")
  lu.assertTrue(packed(program, folder) == want_file, model .. ": the packed file of all dtypes")
end

for _, model in ipairs { "abacus", "rand_bf16", "odd_f16", "odd_f32" } do
  TestDtypes["test_" .. model] = function()
    local plain = model ~= "abacus"
    local kinds = {}
    for _, kind in ipairs(KINDS) do
      if plain or not kind:find("%$$") then kinds[#kinds + 1] = kind end
    end
    check_model("timeout 60 " .. support.getp(model .. "-cpu"), model, kinds)
  end
end

function TestDtypes.test_trees_in_the_harness()
  local list = common_tensors("abacus")
  for _, tree in ipairs { "abacus-gfx90a-fp32", "abacus-gfx90a" } do
    local program = "timeout 300 build/simt_64/" .. tree .. "/getp"
    local want = packed(program, folder_of("abacus", list))
    lu.assertTrue(packed(program, folder_of("abacus", mixed(list))) == want, tree)
  end
end

-- What the plain C forward pass computes from the file that it maps.
function TestDtypes.test_reference()
  local program, list = "timeout 60 " .. support.getp "abacus-cpu", common_tensors("abacus")
  local function reference(folder)
    run(program, string.format("%s -m logits --reference -i %s -o %s", folder, IDS, OUT))
    return support.read(OUT)
  end
  local want = reference(folder_of("abacus", list))
  lu.assertTrue(reference(folder_of("abacus", mixed(list))) == want)
end

-- ---- other numbers ----

TestRounding = { tearDown = TestDtypes.tearDown }

-- A matrix that is stored as BF16 and comes as F32 is rounded to nearest even: that computes the logits of a checkpoint
-- that was rounded before.
function TestRounding.test_f32_in_a_tree_of_bf16()
  local program, list = "timeout 60 " .. support.getp "abacus-cpu", read_tensors("abacus")
  local function change(round)
    return map(list, function(tensor, t)
      if not tensor.name:find("proj%.weight") and tensor.name ~= "lm_head.weight" then return tensor end
      local bits = bits_of(tensor)
      for i = 1, #bits do
        local x = bits[i] + (i * 40503 + t * 8191 & 0xffff)
        if i % 5 == 0 then x = bits[i] | 0x8000 end -- a tie
        bits[i] = round and x + 0x7fff + (x >> 16 & 1) & 0xffff0000 or x
      end
      return as({ name = tensor.name, shape = tensor.shape, bits = bits }, round and "BF16" or "F32")
    end)
  end
  local want = logits(program, folder_of("abacus", change(true)))
  lu.assertTrue(logits(program, folder_of("abacus", change(false))) == want)
end

-- ---- dtypes that no weight may have ----

TestUnused = { tearDown = TestDtypes.tearDown }

local UNUSED <const> = {
  { "BOOL", { 24 } }, { "F4", { 48 } }, { "F6_E2M3", { 32 } }, { "F6_E3M2", { 32 } }, { "U8", { 24 } },
  { "I8", { 24 } }, { "F8_E5M2", { 24 } }, { "F8_E4M3", { 24 } }, { "F8_E8M0", { 24 } }, { "I16", { 12 } },
  { "U16", { 12 } }, { "F16", { 12 } }, { "BF16", { 12 } }, { "I32", { 6 } }, { "U32", { 6 } }, { "F32", { 6 } },
  { "C64", { 3 } }, { "F64", { 3 } }, { "I64", { 3 } }, { "U64", { 3 } }, { "F3_OF_2031", { 9 } },
  { "F32", { 2, 1, 1, 1, 3 } }, { "I64", { 1, 1, 1, 1, 1, 1, 3 } }, { "F32", { 0 } }, { "I64", { 0, 5, 1, 1, 1, 1 } },
  { "F64", {} },
}

function TestUnused.test_any_tensor()
  local program, list = "timeout 60 " .. support.getp "abacus-cpu", read_tensors("abacus")
  local want = logits(program, folder_of("abacus", list))
  for i, each in ipairs(UNUSED) do
    local dtype, shape = each[1], each[2]
    local bytes = shape[1] == 0 and 0 or #shape == 0 and 8 or 24
    table.insert(list, i * 3, { name = "unused." .. i, dtype = dtype, shape = shape, data = ("\xff"):rep(bytes) })
  end
  lu.assertTrue(logits(program, folder_of("abacus", list)) == want)
end

-- A tensor that is used is refused by name: file, what is wanted, what was found.
function TestUnused.test_a_used_tensor()
  local list = read_tensors("abacus")
  local function refused(name, dtype, shape, message)
    local changed = map(list, function(tensor)
      if tensor.name ~= name then return tensor end
      return { name = name, dtype = dtype, shape = shape or tensor.shape, data = tensor.data }
    end)
    local status, _, err = support.run(string.format("timeout 60 %s %s -m logits -i %s -o %s",
      support.getp "abacus-cpu", folder_of("abacus", changed), IDS, OUT))
    lu.assertEquals({ err, status },
      { string.format("getp: %s/model.safetensors: %s: want %s\n", FOLDER, name, message), 1 })
    lu.assertFalse(support.exists(OUT))
  end
  local floats = "dtype BF16, F16 or F32, found "
  refused("lm_head.weight", "I16", nil, floats .. "I16")
  refused("lm_head.weight", "F8_E4M3", { 1024, 384 }, "shape [1024, 192], found [1024, 384]")
  refused("model.norm.weight", "F12_NEW", nil, floats .. "F12_NEW")
  refused("model.layers.0.self_attn.sinks", "U16", nil, floats .. "U16")
  refused("model.layers.1.mlp.router.weight", "BF16", { 8, 1, 1, 1, 192 }, "shape [8, 192], found [8, 1, 1, 1, ...]")
  refused("model.layers.2.mlp.experts.down_proj_blocks", "I8", nil, "dtype U8, found I8")
  refused("model.layers.2.mlp.experts.down_proj_scales", "F8_E8M0", nil, "dtype U8, found F8_E8M0")
end

os.exit(lu.LuaUnit.run())
