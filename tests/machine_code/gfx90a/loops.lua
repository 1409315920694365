-- Blocks (assembly.lua) -> the code of the hot loop: of the natural loops, the one that owns most work of the
-- matrix kblock, along the path through it that does most. Loops inside count for themselves; on the path they
-- are walked once.

local isa = require "tests.machine_code.gfx90a.isa"
local loops = {}

-- Blocks in reverse postorder from the entry -> list, { [block] = its place }.
local function order_of(blocks)
  local postorder, place, seen = {}, {}, {}
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
    place[postorder[i]] = #order
  end
  return order, place
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
local function dominators(order, place, before)
  local dominator, changed = { [order[1]] = order[1] }, true
  local function common(a, b)
    while a ~= b do
      if place[a] > place[b] then a = dominator[a] else b = dominator[b] end
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

-- Adds to a loop's body all from which `block` is reached without its header.
local function fill(body, block, before)
  if body[block] then return end
  body[block] = true
  for _, earlier in ipairs(before[block]) do fill(body, earlier, before) end
end

-- The loop of a header: all blocks that lie on a way back to it. Nil if no way leads back.
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
local function natural(blocks, order, place)
  local before, list = predecessors(blocks, order), {}
  local dominator = dominators(order, place, before)
  for _, header in ipairs(order) do list[#list + 1] = loop_of(header, before, dominator) end
  return list
end

-- What a block does, in order of weight: passes of the matrix kblock; bytes a lane of accesses of a dword or
-- more, less those of smaller ones to memory, which are tails; the less instructions the better.
local function merit(block)
  local passes, bytes = 0, 0
  for _, instruction in ipairs(block.code) do
    local access = isa.access(instruction.op)
    passes = passes + isa.passes(instruction.op)
    if access and access.bytes >= 4 then
      bytes = bytes + access.bytes
    elseif access and access.space == "global" then
      bytes = bytes - 4
    end
  end
  return { passes, bytes, -#block.code }
end

local function better(a, b)
  for i = 1, #a do
    if a[i] ~= b[i] then return a[i] > b[i] end
  end
  return false
end

local function plus(a, b) return { a[1] + b[1], a[2] + b[2], a[3] + b[3] } end

-- The best way through a loop from its header back to it, as a list of blocks.
local function best_path(blocks, loop, order, place)
  local best, from, last = { [loop.header] = merit(blocks[loop.header]) }, {}, nil
  for _, block in ipairs(order) do
    for _, following in ipairs(best[block] and blocks[block].next or {}) do
      if following == loop.header then
        if not last or better(best[block], best[last]) then last = block end
      elseif loop.body[following] and place[following] > place[block] then
        local sum = plus(best[block], merit(blocks[following]))
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

-- The passes of a loop's own blocks, those of loops inside it left out, and the instructions of all.
local function weight(blocks, loop, list)
  local inside, passes, instructions = {}, 0, 0
  for _, other in ipairs(list) do
    if other ~= loop and loop.body[other.header] then
      for block in pairs(other.body) do inside[block] = true end
    end
  end
  for block in pairs(loop.body) do
    if not inside[block] then passes = passes + merit(blocks[block])[1] end
    instructions = instructions + #blocks[block].code
  end
  return { passes, instructions }
end

-- The instructions of the hot loop in the order they are run in, or nil if no loop has a matrix instruction.
-- Of equal loops it is the longer one.
function loops.hot(blocks)
  local order, place = order_of(blocks)
  local list, most, hot = natural(blocks, order, place), { 0, 0 }, nil
  for _, loop in ipairs(list) do
    local this = weight(blocks, loop, list)
    if this[1] > 0 and better(this, most) then most, hot = this, loop end
  end
  if not hot then return nil end
  local code = {}
  for _, block in ipairs(best_path(blocks, hot, order, place)) do
    table.move(blocks[block].code, 1, #blocks[block].code, #code + 1, code)
  end
  return code
end

return loops
