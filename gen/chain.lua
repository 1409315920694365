-- The stages of the generator in their order, each followed by its gate: a config -> everything that a tree is made
-- from. Pure; gen/main.lua reads the config and the templates, and writes the files.

local costs = require "gen.costs"
local model = require "gen.model"
local ops = require "gen.ops"
local plan = require "gen.plan"
local schedule = require "gen.schedule"
local select = require "gen.select"
local weights = require "gen.weights"

local chain = {}

-- config: the value of gen/config.lua. target: a record of gen/target.lua. given = { slots, context }, each an integer
-- or nil for the target's default.
-- -> { config, target, model, weights, limits, ops, kernels, plan, steps, costs }, each as its stage describes it.
function chain.run(config, target, given)
  local out = { config = config, target = target, model = model.describe(config) }
  model.check(out.model)
  out.weights = weights.list(out.model, target)
  weights.check(out.weights)
  out.limits = plan.limits(out.model, target, given)
  out.ops = ops.build(out.model, target, out.limits)
  ops.check(out.ops, out.weights)
  out.kernels = select.kernels(out.ops, out.model, out.weights, target)
  select.check(out.kernels, out.ops, out.model, out.weights, target)
  out.plan = plan.arena(out.ops, out.model, out.limits, target)
  plan.check(out.plan, out.weights, target)
  out.steps = schedule.steps(out.ops, out.model)
  schedule.check(out.steps, out.kernels, out.plan)
  out.costs = costs.list(out.ops, out.kernels, out.model, out.weights, out.plan)
  return out
end

return chain
