-- What valgrind and perf write about instructions -> numbers of them. Pure.

local counts = {}

-- A file of `valgrind --tool=callgrind --compress-strings=no --compress-pos=no`. Adds up the calls of launchers, each
-- with all that it calls. -> { total = instructions that were collected,
--   roles = { { role =, instructions = }, ... } in alphabetical order, rest = those outside of any launcher }
function counts.of_callgrind(text)
  local of, role, called = {}, nil, false
  for line in text:gmatch("[^\n]+") do
    local callee = line:match("^cfn=(.*)")
    if callee then
      role = callee:match("^launch_([%w_]+)$")
    elseif line:find("^calls=") then
      called = true
    elseif called then -- the line after calls= has the cost of these calls
      if role then of[role] = (of[role] or 0) + math.tointeger(line:match("^%S+ (%d+)$")) end
      role, called = nil, false
    end
  end
  local out = { total = math.tointeger(text:match("\ntotals: (%d+)")), roles = {} }
  out.rest = out.total
  for name, instructions in pairs(of) do
    out.roles[#out.roles + 1] = { role = name, instructions = instructions }
    out.rest = out.rest - instructions
  end
  table.sort(out.roles, function(a, b) return a.role < b.role end)
  return out
end

-- The instructions in a file of `perf stat -x , -e instructions:u`; nil where the processor's counter is not to be had.
function counts.of_perf(text) return math.tointeger(tonumber(text:match("(%d+),[^\n]*instructions"))) end

return counts
