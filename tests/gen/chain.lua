-- The stages of the generator on one config, for the tests of each stage.

local config = require "gen.config"
local costs = require "gen.costs"
local cpu = require("gen.target.cpu").mixed
local emit = require "gen.emit"
local lfs = require "lfs"
local lu = require "luaunit"
local model = require "gen.model"
local ops = require "gen.ops"
local plan = require "gen.plan"
local schedule = require "gen.schedule"
local select = require "gen.select"
local support = require "tests.support"
local weights = require "gen.weights"

local chain = {
  GPT_OSS_20B = "gen/configs/gpt-oss-20b.json",
  GPT_OSS_120B = "gen/configs/gpt-oss-120b.json",
  read = support.read, lines_of = support.lines,
}

-- Every config of the tests: the two of gpt-oss, and those of tests/models.
function chain.configs()
  local paths = { chain.GPT_OSS_20B, chain.GPT_OSS_120B }
  for name in lfs.dir("tests/models") do
    local path = "tests/models/" .. name .. "/config.json"
    if lfs.attributes(path) then paths[#paths + 1] = path end
  end
  table.sort(paths)
  return paths
end

-- The text of every template of a target, by path; of cpu if none is given.
function chain.templates(target)
  local texts = {}
  for _, folder in ipairs { "templates/", (target or cpu).templates .. "/" } do
    for name in lfs.dir(folder) do
      if name:find("%.in$") then texts[folder .. name] = chain.read(folder .. name) end
    end
  end
  return texts
end

-- The model of a config after `change`, if any, has been applied to the parsed config.
function chain.model(path, change)
  local parsed, errors = config.parse(chain.read(path), path)
  if not parsed then lu.fail(table.concat(errors, "\n")) end
  if change then change(parsed) end
  return model.describe(parsed)
end

-- All stages but the last, each passed through its gate. `given`: slots, context and target (cpu).
function chain.run(path, change, given)
  given = given or {}
  local target = given.target or cpu
  local out = { name = "tree", config = path, target = target, model = chain.model(path, change) }
  model.check(out.model)
  out.weights = weights.list(out.model, target)
  weights.check(out.weights)
  out.limits = plan.limits(out.model, target, given)
  out.ops = ops.build(out.model, target, out.limits)
  ops.check(out.ops, out.weights)
  out.kernels = select.kernels(out.ops, out.model, out.weights, target)
  select.check(out.kernels, out.ops, out.model, out.weights, target)
  out.plan = plan.arena(out.ops, out.kernels, out.model, out.limits, target)
  plan.check(out.plan, out.weights, target)
  out.steps = schedule.steps(out.ops, out.model)
  schedule.check(out.steps, out.kernels, out.plan)
  out.costs = costs.list(out.ops, out.kernels, out.model, out.weights, out.plan)
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

-- What stands in a checkpoint for a list of tensors: { [name] = shape }.
function chain.in_checkpoint(list)
  local found = {}
  for _, tensor in ipairs(list.tensors) do
    local e, n, k = table.unpack(tensor.shape)
    if tensor.source == "MXFP4" then
      found[tensor.name .. "_blocks"], found[tensor.name .. "_scales"] = { e, n, k // 32, 16 }, { e, n, k // 32 }
    else
      found[tensor.name] = tensor.source == "TRANSPOSED" and { e, k, n } or tensor.shape
    end
  end
  return found
end

function chain.sorted_names(files)
  local names = {}
  for name in pairs(files) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- f(stages, path) for every config on every target.
function chain.each(targets, f)
  for _, target in ipairs(targets) do
    for _, path in ipairs(chain.configs()) do f(chain.run(path, nil, { target = target }), path) end
  end
end

-- The tensors that are packed: each follows the one before on the next cache line.
function chain.assert_offsets(stages, path)
  local last = 0
  for _, tensor in ipairs(stages.weights.tensors) do
    lu.assertEquals(tensor.offset, (last + 63) // 64 * 64, path .. ": " .. tensor.symbol)
    last = tensor.offset + tensor.bytes
  end
  lu.assertEquals(stages.weights.packed_bytes, (last + 63) // 64 * 64)
end

-- { role = symbol without `front` and its target }
function chain.symbols(stages, front)
  local out = {}
  for _, kernel in ipairs(stages.kernels.list) do
    out[kernel.role] = kernel.symbol:match("^" .. front .. "(.*)__" .. stages.target.name .. "$")
  end
  return out
end

-- The last stage.
function chain.files(stages) return emit.files(stages, chain.templates(stages.target)) end

-- f(...) raises exactly `message`, behind the position that `assert` adds in a gate.
function chain.refused(message, f, ...)
  local ok, got = pcall(f, ...)
  lu.assertFalse(ok, "want a refusal: " .. message)
  lu.assertEquals((got:gsub("^%./gen/%w+%.lua:%d+: ", "")), message)
end

return chain
