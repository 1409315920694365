-- quantization_config.modules_to_not_convert: the names of modules that transformers leaves unpacked. An entry is a
-- regular expression that matches the beginning of a module's name, or the end of the name as it is written
-- (should_convert_module in quantizers/quantizers_utils.py). Only the expert matrices of gpt-oss can be packed, so an
-- entry is true of every other module, and false only if it covers a module of packed experts.

local modules = {}

-- The module of a layer that transformers packs, and its matrices, which some lists name.
local EXPERTS <const> = { "mlp.experts", "mlp.experts.gate_up_proj", "mlp.experts.down_proj" }
local CLASSES <const> = { d = "%d", w = "[%w_]" } -- what a letter after `\` stands for
local MAX_BYTES <const> = 200 -- of an entry

-- An entry -> its atoms, list of { class = a Lua pattern of one character, least, most }, or nil if it has
-- operators beyond `.`, `*`, `+`, `?`, `[...]`, `\d`, `\w`, `\.`, a `^` in front and a `$` at the end. A `*` in front
-- stands for any characters.
local function atoms_of(entry)
  local atoms, at = {}, 1
  entry = entry:gsub("^%^", ""):gsub("^%*", ".*")
  while at <= #entry do
    local c = entry:sub(at, at)
    local class, escaped = nil, entry:match("^\\(.)", at)
    local set = entry:match("^%[%^?[%w_.-]+%]", at)
    if escaped then
      class, at = CLASSES[escaped] or not escaped:find("%w") and "%" .. escaped or nil, at + 2
    elseif set then
      class, at = set:gsub("%.", "%%."), at + #set
    elseif c == "$" and at == #entry then
      atoms.ends = true
      return atoms
    elseif c:find("[%w_/-]") then
      class, at = "%" .. c, at + 1
      if c:find("%w") then class = c end
    elseif c == "." then
      class, at = ".", at + 1
    end
    if not class then return nil end
    local quantifier = entry:match("^[*+?]", at)
    atoms[#atoms + 1] = { class = "^" .. class, least = quantifier == nil and 1 or quantifier == "+" and 1 or 0,
      repeats = quantifier == "*" or quantifier == "+" }
    at = at + (quantifier and 1 or 0)
  end
  return atoms
end

-- { [position] = true } of a name, and with them the positions after any repetition of an atom.
local function step(atom, name, positions)
  local after = {}
  for position in pairs(positions) do
    if atom.least == 0 then after[position] = true end
    while position <= #name and name:find(atom.class, position) do
      position = position + 1
      after[position] = true
      if not atom.repeats then break end
    end
  end
  return after
end

-- Whether the expression matches the beginning of a name.
local function matches(atoms, name)
  local positions = { true }
  for _, atom in ipairs(atoms) do
    positions = step(atom, name, positions)
    if next(positions) == nil then return false end
  end
  return not atoms.ends or positions[#name + 1] == true
end

-- The first module of packed experts that an entry covers, or nil. An entry with other operators gives nil and a text
-- that says what is wanted.
function modules.covered(entry, n_layers)
  local atoms = #entry <= MAX_BYTES and atoms_of(entry)
  if not atoms then
    return nil, string.format("the name of a module, of up to %d characters, without operators but . * + ? [ ] \\",
      MAX_BYTES)
  end
  for _, suffix in ipairs(EXPERTS) do
    for layer = 0, n_layers - 1 do
      local name = string.format("model.layers.%d.%s", layer, suffix)
      if matches(atoms, name) or name:sub(-#entry) == entry then return name end
    end
  end
  return nil
end

return modules
