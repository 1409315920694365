-- ops -> steps: the flat list of launches of one pass.
--
-- steps = list of paragraph = { title = "layer 07, full attention", lines = list of step }
-- step = { list = "STEP" | "GREEDY" | "LOGITS" | "SAMPLED" (the macro), layer = 7 or -1 (no layer), role,
--   arguments = list of C names }

local names = require "gen.names"

local schedule = {}

local HEADS = {
  greedy = "head: the greatest logit's id", logits = "head: whole logits",
  sampled = "head: the id that is drawn from the logits",
}

local function c_name(argument)
  return argument.type == "buffer" and names.buffer(argument.value) or argument.value
end

local function title(op, model, begun)
  if op.when then return HEADS[op.when] end
  if not op.layer then return begun and "head" or "embedding" end
  return string.format("layer %02d, %s attention", op.layer, model.layers[op.layer + 1].attention)
end

function schedule.steps(built, model)
  local steps, last = {}, nil
  for _, op in ipairs(built.list) do
    local heading = title(op, model, #steps > 1)
    if heading ~= last then
      steps[#steps + 1] = { title = heading, lines = {} }
      last = heading
    end
    local arguments = {}
    for i, argument in ipairs(op.arguments) do arguments[i] = c_name(argument) end
    local lines = steps[#steps].lines
    lines[#lines + 1] = { list = op.when and op.when:upper() or "STEP", layer = op.layer or -1, role = op.role,
      arguments = arguments }
  end
  return steps
end

-- The gate: the kernel, buffers and KV layer of every step exist.
function schedule.check(steps, kernels, plan)
  local known = {}
  for _, buffer in ipairs(plan.buffers) do known[buffer.name] = true end
  for _, layer in ipairs(plan.kv.layers) do known[layer.symbol] = true end
  for _, paragraph in ipairs(steps) do
    for _, step in ipairs(paragraph.lines) do
      assert(kernels.of[step.role], step.role .. " has no kernel")
      for _, name in ipairs(step.arguments) do
        local planned = name:find("^BUF_") or name:find("^KV_%d")
        assert(not planned or known[name], step.role .. ": " .. name .. " is not in the plan")
      end
    end
  end
end

return schedule
