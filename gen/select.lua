-- ops x target -> the kernels of a tree, one per role.
--
-- kernels = { list = list of kernel (in order of first use), of = { [role] = kernel } }
-- kernel = {
--   role, template (its path), file (its name in the tree), symbol (of the C function), prototype (of
--   the launcher, without the semicolon), parameters (of the template), because (why this template),
--   flops (per row; of attention: per row and key), weight_bytes (per step, all tensors it may read),
--   tilings (list of { rows (up to how many, as text), type, because }),
-- }

local ctext = require "gen.ctext"

local select = {}

local C_TYPE = { buffer = "size_t", weight = "enum weight", kv = "size_t", positions = "int" }

local function prototype(op)
  local parameters = { "const struct pass *pass" }
  for _, argument in ipairs(op.arguments) do
    parameters[#parameters + 1] = C_TYPE[argument.type] .. " " .. argument.name
  end
  return ctext.wrapped("void launch_" .. op.role .. "(", parameters, ")", #" {")
end

local function weight_bytes(op, weights)
  local bytes = 0
  for _, argument in ipairs(op.arguments) do
    if argument.type == "weight" then bytes = bytes + weights.of[argument.value].bytes end
  end
  return bytes
end

local function describe(op, model, weights, target)
  local choice = target.kernel[op.op](op, model, weights)
  return {
    role = op.role, template = string.format("%s/%s%s.in", target.templates, choice.template, target.extension),
    file = op.role .. target.extension, prototype = prototype(op), parameters = choice.parameters,
    symbol = ctext.symbol { act = choice.act or "f32", weight = choice.weight, op = choice.name, fused = choice.fused,
      dims = choice.dims, target = target.name },
    because = choice.because, flops = choice.flops, weight_bytes = weight_bytes(op, weights),
    tilings = choice.tilings or {},
  }
end

function select.kernels(built, model, weights, target)
  local kernels = { list = {}, of = {} }
  for _, op in ipairs(built.list) do
    if not kernels.of[op.role] then
      local kernel = describe(op, model, weights, target)
      kernels.of[op.role] = kernel
      kernels.list[#kernels.list + 1] = kernel
    end
  end
  return kernels
end

-- The gate: the ops of one role need one and the same kernel.
function select.check(kernels, built, model, weights, target)
  for _, op in ipairs(built.list) do
    local kernel, again = kernels.of[op.role], describe(op, model, weights, target)
    assert(kernel.symbol == again.symbol and kernel.prototype == again.prototype,
      op.role .. ": one role, two kernels: " .. kernel.symbol .. ", " .. again.symbol)
  end
end

return select
