-- Reads gfx90a assembly as clang 15 and 22 write it: its kernels, with their resources from the metadata and their
-- code as basic blocks. Calls are counted but not followed, since our kernels must have none.
--
-- kernel = {
--   symbol (of the linker), name (readable, see assembly.name), vgprs, agprs, registers (their sum, as a SIMD
--   allocates it), sgprs, vgpr_spills, sgpr_spills, scratch (bytes per lane), lds (bytes per block), threads (per
--   block, at most), calls (of functions that were not inlined),
--   blocks = list of { code = list of { op, text }, next = list of indices of blocks },
-- }

local assembly = {}

-- Fields of the metadata: clang's name and ours.
local FIELDS = {
  agpr_count = "agprs", vgpr_count = "registers", sgpr_count = "sgprs", vgpr_spill_count = "vgpr_spills",
  sgpr_spill_count = "sgpr_spills", group_segment_fixed_size = "lds", private_segment_fixed_size = "scratch",
  max_flat_workgroup_size = "threads",
}
local PREFIXES = { v = true, s = true, ds = true, global = true, buffer = true, flat = true, scratch = true }
local ENDS = { s_endpgm = true, s_setpc_b64 = true }

-- ---- names ----

-- Reads one template argument of a symbol: a number, a type with its own arguments, or a letter.
local function argument(symbol, at)
  local value, after = symbol:match("^L%a(n?%d+)E()", at)
  if value then return value:gsub("^n", "-"), after end
  local length, start = symbol:match("^(%d+)()", at)
  if not length then return symbol:sub(at, at), at + 1 end
  after = start + math.tointeger(length)
  local name, arguments = symbol:sub(start, after - 1), ""
  if symbol:sub(after, after) == "I" then arguments, after = assembly.arguments(symbol, after) end
  return name .. arguments, after
end

-- The template arguments that begin with an I at position `at` -> "<4,8>", the position after them.
function assembly.arguments(symbol, at)
  local list = {}
  at = at + 1
  while at <= #symbol and symbol:sub(at, at) ~= "E" do list[#list + 1], at = argument(symbol, at) end
  return "<" .. table.concat(list, ",") .. ">", at + 1
end

-- The name of a function with its template arguments and without its parameters: _ZL6kernelI6stagedILi4EEEvPKi ->
-- kernel<staged<4>>. A name that C++ did not mangle is returned unchanged.
function assembly.name(symbol)
  local at = symbol:match("^_ZL?()%d")
  return at and (argument(symbol, at)) or symbol
end

-- ---- metadata ----

-- The kernels that the metadata lists, with their fields.
local function metadata(text)
  local kernels, kernel = {}, nil
  local list = text:match("%.amdgpu_metadata\n(.-)\n%s*%.end_amdgpu_metadata") or ""
  for mark, key, value in list:gmatch("\n  ([- ]) %.([%w_]+): *([^\n]*)") do
    if mark == "-" then
      kernel = { agprs = 0 }
      kernels[#kernels + 1] = kernel
    end
    if kernel and key == "name" then kernel.symbol = value:gsub("['\"]", "") end
    if kernel and FIELDS[key] then kernel[FIELDS[key]] = math.tointeger(value) end
  end
  return kernels
end

-- ---- code ----

-- The lines of each kernel's body: { [symbol] = list of lines }.
local function bodies(text, kernels)
  local of, current = {}, nil
  for _, kernel in ipairs(kernels) do of[kernel.symbol] = {} end
  for line in text:gmatch("[^\n]*") do
    local label = line:match("^([%a_$][%w_$.]*):")
    if label and of[label] then current = of[label] end
    if line:find("^%.Lfunc_end") or line:find("^%s*%.section") then current = nil end
    if current then current[#current + 1] = line end
  end
  return of
end

-- Cuts a body into blocks, without their successors -> blocks, { [label] = index of its block }.
local function cut(lines)
  local blocks, of_label = {}, {}
  local function open() blocks[#blocks + 1] = { code = {}, next = {} } end
  open()
  for _, line in ipairs(lines) do
    local label = line:match("^(%.?LBB%d+_%d+):")
    if label or line:find("^; %%bb%.%d") then open() end
    if label then of_label[label] = #blocks end
    local text = line:gsub("%s*;.*$", ""):gsub("%s*//.*$", ""):match("^%s+(.-)%s*$")
    local op = text and text:match("^%S+")
    if op and PREFIXES[op:match("^(%a+)_")] then
      local code = blocks[#blocks].code
      code[#code + 1] = { op = op, text = text }
      if op:find("^s_cbranch") or op == "s_branch" or ENDS[op] then open() end
    end
  end
  return blocks, of_label
end

-- Fills in the successors of each block.
local function connect(blocks, of_label)
  for i, block in ipairs(blocks) do
    local last = block.code[#block.code] or { op = "", text = "" }
    if last.op == "s_branch" or last.op:find("^s_cbranch") then
      block.next[1] = of_label[last.text:match("(%S+)$")]
    end
    if last.op ~= "s_branch" and not ENDS[last.op] and blocks[i + 1] then block.next[#block.next + 1] = i + 1 end
  end
end

local function calls(blocks)
  local count = 0
  for _, block in ipairs(blocks) do
    for _, each in ipairs(block.code) do count = count + (each.op == "s_swappc_b64" and 1 or 0) end
  end
  return count
end

-- The kernels of a file of assembly, as a list.
function assembly.parse(text)
  local kernels = metadata(text)
  local of = bodies(text, kernels)
  for _, kernel in ipairs(kernels) do
    kernel.name = assembly.name(kernel.symbol)
    kernel.vgprs = kernel.registers - kernel.agprs
    local blocks, of_label = cut(of[kernel.symbol])
    connect(blocks, of_label)
    kernel.blocks, kernel.calls = blocks, calls(blocks)
  end
  return kernels
end

return assembly
