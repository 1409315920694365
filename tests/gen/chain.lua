-- The stages of the generator on one config, for the tests of each stage.

local config = require "gen.config"
local cpu = require("gen.target.cpu").mixed
local emit = require "gen.emit"
local lfs = require "lfs"
local lu = require "luaunit"
local model = require "gen.model"
local stages = require "gen.chain"
local support = require "tests.support"
local tables = require "gen.tables"

local chain = {
  GPT_OSS_20B = "gen/configs/gpt-oss-20b.json",
  GPT_OSS_120B = "gen/configs/gpt-oss-120b.json",
  read = support.read, lines_of = support.lines,
}

-- The paths of all configs: the two of gpt-oss, and those of tests/models.
function chain.configs()
  local paths = { chain.GPT_OSS_20B, chain.GPT_OSS_120B }
  for name in lfs.dir("tests/models") do
    local path = "tests/models/" .. name .. "/config.json"
    if lfs.attributes(path) then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths
end

-- The text of every template of a target (cpu by default), by path.
function chain.templates(target)
  local texts = {}
  for _, folder in ipairs { "templates/", (target or cpu).templates .. "/" } do
    for name in lfs.dir(folder) do
      if name:find("%.in$") then texts[folder .. name] = chain.read(folder .. name) end
    end
  end
  return texts
end

-- The parsed config after `change`, if there is one, has been applied to it.
local function parse(path, change)
  local parsed, errors = config.parse(chain.read(path), path)
  if not parsed then lu.fail(table.concat(errors, "\n")) end
  if change then change(parsed) end
  return parsed
end

function chain.model(path, change) return model.describe(parse(path, change)) end

-- All stages but the last. given = { slots, context, target }, each nil for its default; the target is then cpu.
function chain.run(path, change, given)
  given = given or {}
  local out = stages.run(parse(path, change), given.target or cpu, given)
  out.name, out.label, out.command = "tree", path, "lua5.4 gen/main.lua --config " .. path
  return out
end

-- A GPU with room for any model.
function chain.roomy(target) return setmetatable({ memory = math.maxinteger }, { __index = target }) end

-- An op as one line: `role(name=value ...)`, a buffer with `<` read, `>` written, `*` updated.
function chain.op_line(op)
  local mark, parts = { read = "<", write = ">", update = "*" }, {}
  for i, argument in ipairs(op.arguments) do
    parts[i] = argument.name .. "=" .. (mark[argument.access] or "") .. argument.value
  end
  return op.role .. "(" .. table.concat(parts, " ") .. ")"
end

-- The tensors of a checkpoint from which those of a list are made: { [name] = shape }.
function chain.in_checkpoint(list)
  local found = {}
  for _, tensor in ipairs(list.tensors) do
    local e, n, k = table.unpack(tensor.shape)
    if tensor.form == "MXFP4" then
      found[tensor.name .. "_blocks"], found[tensor.name .. "_scales"] = { e, n, k // 32, 16 }, { e, n, k // 32 }
    else
      found[tensor.name] = tensor.form == "TRANSPOSED" and { e, k, n } or tensor.shape
    end
  end
  return found
end

chain.sorted_names = tables.sorted_keys

-- f(tree, path) for every config on every target.
function chain.each(targets, f)
  for _, target in ipairs(targets) do
    for _, path in ipairs(chain.configs()) do f(chain.run(path, nil, { target = target }), path) end
  end
end

-- All tensors are packed: each begins at the next cache line after the one before it.
function chain.assert_offsets(tree, path)
  local last = 0
  for _, tensor in ipairs(tree.weights.tensors) do
    lu.assertEquals(tensor.offset, (last + 63) // 64 * 64, path .. ": " .. tensor.symbol)
    last = tensor.offset + tensor.bytes
  end
  lu.assertEquals(tree.weights.packed_bytes, (last + 63) // 64 * 64)
end

-- { role = symbol without `front` and its target }
function chain.symbols(tree, front)
  local out = {}
  for _, kernel in ipairs(tree.kernels.list) do
    out[kernel.role] = kernel.symbol:match("^" .. front .. "(.*)__" .. tree.target.name .. "$")
  end
  return out
end

-- The last stage.
function chain.files(tree) return emit.files(tree, chain.templates(tree.target)) end

-- f(...) raises exactly `message`, after the position that `assert` adds in a gate.
function chain.refused(message, f, ...)
  local ok, found = pcall(f, ...)
  lu.assertFalse(ok, "want a refusal: " .. message)
  lu.assertEquals((found:gsub("^%./gen/%w+%.lua:%d+: ", "")), message)
end

return chain
