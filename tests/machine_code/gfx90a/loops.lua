-- Blocks (assembly.lua) -> the code of the hot loop. It is the natural loop whose own blocks keep the matrix core busy
-- longest; blocks of a loop inside it count for that loop alone. Its code is the path through it that does most work,
-- on which inner loops are walked once.

local isa = require "tests.machine_code.gfx90a.isa"
local loops = {}

-- Blocks in reverse postorder from the entry -> list, { [block] = its position in the list }.
local function order_of(blocks)
  local postorder, position, seen = {}, {}, {}
  local function visit(block)
    seen[block] = true
    for _, following in ipairs(blocks[block].next) do
      if not seen[following] then visit(following) end
    end
    postorder[#postorder + 1] = block
  end
  visit(1)
  local order = {}
  for i = #postorder, 1, -1 do
    order[#order + 1] = postorder[i]
    position[postorder[i]] = #order
  end
  return order, position
end

local function predecessors(blocks, order)
  local of = {}
  for i = 1, #blocks do of[i] = {} end
  for _, block in ipairs(order) do
    for _, following in ipairs(blocks[block].next) do table.insert(of[following], block) end
  end
  return of
end

-- The immediate dominator of each block (Cooper, Harvey and Kennedy: A Simple, Fast Dominance Algorithm).
local function dominators(order, position, before)
  local dominator, changed = { [order[1]] = order[1] }, true
  local function common(a, b)
    while a ~= b do
      if position[a] > position[b] then a = dominator[a] else b = dominator[b] end
    end
    return a
  end
  while changed do
    changed = false
    for i = 2, #order do
      local new
      for _, block in ipairs(before[order[i]]) do
        if dominator[block] then new = new and common(new, block) or block end
      end
      if dominator[order[i]] ~= new then dominator[order[i]], changed = new, true end
    end
  end
  return dominator
end

local function dominates(dominator, a, b)
  while a ~= b and dominator[b] ~= b do b = dominator[b] end
  return a == b
end

-- Adds to a loop's body `block` and every block that reaches it without passing the header, which is in the body.
local function fill(body, block, before)
  if body[block] then return end
  body[block] = true
  for _, earlier in ipairs(before[block]) do fill(body, earlier, before) end
end

-- The loop of a header: all blocks on a path back to it. Nil if no path leads back.
local function loop_of(header, before, dominator)
  local body, found = { [header] = true }, false
  for _, block in ipairs(before[header]) do
    if dominates(dominator, header, block) then
      fill(body, block, before)
      found = true
    end
  end
  return found and { header = header, body = body } or nil
end

-- The natural loops: list of { header, body = { [block] = true } }, in the order of their headers.
local function natural(blocks, order, position)
  local before, list = predecessors(blocks, order), {}
  local dominator = dominators(order, position, before)
  for _, header in ipairs(order) do list[#list + 1] = loop_of(header, before, dominator) end
  return list
end

-- The work of a block, most significant first: slots of the matrix core; bytes per lane of accesses of a dword or
-- more, minus 4 for each smaller access to memory, which belongs to a remainder; minus the number of instructions.
local function work_of(block)
  local mfma_slots, bytes = 0, 0
  for _, instruction in ipairs(block.code) do
    local access = isa.access(instruction.op)
    mfma_slots = mfma_slots + isa.mfma_slots(instruction.op)
    if access and access.bytes >= 4 then
      bytes = bytes + access.bytes
    elseif access and access.space == "global" then
      bytes = bytes - 4
    end
  end
  return { mfma_slots, bytes, -#block.code }
end

local function better(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then return a[i] > b[i] end
  end
  return false
end

local function plus(a, b) return { a[1] + b[1], a[2] + b[2], a[3] + b[3] } end

-- The path through a loop, from its header back to it, that does most work, as a list of blocks.
local function best_path(blocks, loop, order, position)
  local best, from, last = { [loop.header] = work_of(blocks[loop.header]) }, {}, nil
  for _, block in ipairs(order) do
    for _, following in ipairs(best[block] and blocks[block].next or {}) do
      if following == loop.header then
        if not last or better(best[block], best[last]) then last = block end
      elseif loop.body[following] and position[following] > position[block] then
        local sum = plus(best[block], work_of(blocks[following]))
        if not best[following] or better(sum, best[following]) then best[following], from[following] = sum, block end
      end
    end
  end
  local path = {}
  while last do
    table.insert(path, 1, last)
    last = from[last]
  end
  return path
end

-- { slots of the matrix core of a loop's own blocks, without those of inner loops; instructions of all its blocks }
local function weight(blocks, loop, list)
  local inside, mfma_slots, instructions = {}, 0, 0
  for _, other in ipairs(list) do
    if other ~= loop and loop.body[other.header] then
      for block in pairs(other.body) do inside[block] = true end
    end
  end
  for block in pairs(loop.body) do
    if not inside[block] then mfma_slots = mfma_slots + work_of(blocks[block])[1] end
    instructions = instructions + #blocks[block].code
  end
  return { mfma_slots, instructions }
end

-- The instructions of the hot loop in the order in which they run, or nil if no loop has a matrix instruction. Between
-- equal loops the longer one is chosen.
function loops.hot(blocks)
  local order, position = order_of(blocks)
  local list, most, hot = natural(blocks, order, position), { 0, 0 }, nil
  for _, loop in ipairs(list) do
    local this = weight(blocks, loop, list)
    if this[1] > 0 and better(this, most) then most, hot = this, loop end
  end
  if not hot then return nil end
  local code = {}
  for _, block in ipairs(best_path(blocks, hot, order, position)) do
    table.move(blocks[block].code, 1, #blocks[block].code, #code + 1, code)
  end
  return code
end

return loops
