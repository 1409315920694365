-- The stages of the generator on one config, for the tests of each stage.

local config = require "gen.config"
local cpu = require "gen.target.cpu"
local emit = require "gen.emit"
local lfs = require "lfs"
local lu = require "luaunit"
local model = require "gen.model"
local ops = require "gen.ops"
local plan = require "gen.plan"
local schedule = require "gen.schedule"
local select = require "gen.select"
local weights = require "gen.weights"

local chain = {
  GPT_OSS_20B = "gen/configs/gpt-oss-20b.json",
  GPT_OSS_120B = "gen/configs/gpt-oss-120b.json",
}

function chain.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

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

-- All stages but the last, each passed through its gate. `given`: slots, context, target (cpu) and
-- precision (mixed).
function chain.run(path, change, given)
  given = given or {}
  local target = given.target or cpu
  local out = { name = "tree", config = path, target = target, model = chain.model(path, change) }
  model.check(out.model)
  out.weights = weights.list(out.model, given.precision or "mixed", target)
  weights.check(out.weights)
  out.ops = ops.build(out.model, target)
  ops.check(out.ops, out.weights)
  out.kernels = select.kernels(out.ops, out.model, out.weights, target)
  select.check(out.kernels, out.ops, out.model, out.weights, target)
  out.limits = plan.limits(out.model, target, given)
  out.plan = plan.arena(out.ops, out.kernels, out.model, out.limits)
  plan.check(out.plan, out.weights, target)
  out.steps = schedule.steps(out.ops, out.model)
  schedule.check(out.steps, out.kernels, out.plan)
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
