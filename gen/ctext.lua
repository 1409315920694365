-- Numbers, identifiers and symbols as C text: the only formatter of the generator. Its texts are valid C, the same on
-- every machine. It refuses values that have no such text, with the caller's position in the message; it never rounds,
-- escapes or repairs a value.

local ctext = {}

ctext.COLUMNS = 119 -- of a generated line

-- The order of the dimensions in a symbol: features, reduction, query heads, KV heads, head size, window, experts,
-- experts per token.
local DIMENSIONS = { "n", "k", "h", "g", "d", "w", "e", "top" }

-- Words of C11 and C++ that cannot be names.
local KEYWORDS = {}
for word in ([[
  alignas alignof and asm auto bitand bitor bool break case catch char class compl const constexpr
  const_cast continue decltype default delete do double dynamic_cast else enum explicit export extern
  false float for friend goto if inline int long mutable namespace new noexcept not nullptr operator or
  private protected public register reinterpret_cast restrict return short signed sizeof static
  static_assert static_cast struct switch template this thread_local throw true try typedef typeid
  typename union unsigned using virtual void volatile wchar_t while xor]]):gmatch("%S+") do
  KEYWORDS[word] = true
end

local function show(value)
  if type(value) == "string" then return string.format("%q", value) end
  return tostring(value)
end

-- Level 3: the position of the call of the public function.
local function refuse(format, ...) error(string.format(format, ...), 3) end

function ctext.integer(i)
  if math.type(i) ~= "integer" then refuse("ctext.integer: want an integer, got %s", show(i)) end
  return string.format("%d", i)
end

local function to_f32(x) return string.unpack("<f", string.pack("<f", x)) end

local function nine_digits(x)
  local text = string.format("%.9g", x)
  return text:find("[.e]") and text or text .. ".0"
end

-- A C float literal that reads back as the float nearest to x. It refuses NaN, infinities, values beyond the floats,
-- and values other than zero that would read back as zero.
function ctext.f32(x)
  if not math.type(x) then refuse("ctext.f32: want a number, got %s", show(x)) end
  local nearest = to_f32(x)
  if nearest ~= nearest or math.abs(nearest) == math.huge or (nearest == 0 and x ~= 0) then
    refuse("ctext.f32: want a number in the range of a float, got %.17g", x)
  end
  local text = nine_digits(x)
  -- Nine digits of a double may lie across the midpoint of two floats; nine digits of a float never do.
  if to_f32(tonumber(text)) ~= nearest then text = nine_digits(nearest) end
  return text .. "f"
end

-- A C double literal that reads back as exactly x.
function ctext.double(x)
  if not math.type(x) then refuse("ctext.double: want a number, got %s", show(x)) end
  if x ~= x or math.abs(x) == math.huge then refuse("ctext.double: want a finite number, got %s", show(x)) end
  local text = string.format("%.15g", x)
  if tonumber(text) ~= x then text = string.format("%.17g", x) end
  return text:find("[.e]") and text or text .. ".0"
end

local function is_identifier(s)
  return type(s) == "string" and s:find("^[A-Za-z_][A-Za-z0-9_]*$") ~= nil and not KEYWORDS[s]
end

function ctext.identifier(s)
  if not is_identifier(s) then refuse("ctext.identifier: want a C identifier, got %s", show(s)) end
  return s
end

-- 13053952 -> "13,053,952", for summaries.
function ctext.thousands(i)
  if math.type(i) ~= "integer" then refuse("ctext.thousands: want an integer, got %s", show(i)) end
  local sign, digits = string.format("%d", i):match("^(-?)(%d+)$")
  local grouped = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. grouped
end

-- `open`, the values with commas, and `close`: on one line if it fits, otherwise broken after commas, with 4 spaces
-- before each further line. after: columns that stay free after `close`; 0 by default.
function ctext.wrapped(open, values, close, after)
  local lines, line = {}, open
  for i, value in ipairs(values) do
    local last = i == #values
    local piece = value .. (last and close or ",")
    local joined = line .. (i > 1 and " " or "") .. piece
    if i > 1 and #joined + (last and after or 0) > ctext.COLUMNS then
      lines[#lines + 1] = line
      line = "    " .. piece
    else
      line = joined
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- { {"n", 5760}, {"k", 2880} } -> { "n5760", "k2880" } in the order of DIMENSIONS.
local function dimension_words(dims)
  local size, words = {}, {}
  for _, dim in ipairs(dims) do
    if size[dim[1]] then return nil, "dimension given twice: " .. dim[1] end
    if math.type(dim[2]) ~= "integer" or dim[2] < 1 then
      return nil, string.format("%s: want a positive integer, got %s", dim[1], show(dim[2]))
    end
    size[dim[1]] = dim[2]
  end
  for _, letter in ipairs(DIMENSIONS) do
    if size[letter] then words[#words + 1] = string.format("%s%d", letter, size[letter]) end
  end
  if #words ~= #dims then
    return nil, "want dimensions out of " .. table.concat(DIMENSIONS, " ")
  end
  return words
end

-- The name of a device function, `<act>_<weight>w_<op>[_<fused>]_<dims>__<target>`, for instance
-- `bf16_mf4w_moe_gate_up_swiglu_n5760_k2880_e32_top4__gfx90a`. `weight` is nil if the op reads no weights, `fused` is
-- nil if it fuses nothing; `dims` is a list of { letter, size } in any order.
function ctext.symbol(s)
  local words, message = dimension_words(s.dims)
  if not words then refuse("ctext.symbol: %s: %s", show(s.op), message) end
  if s.fused then table.insert(words, 1, s.fused) end
  table.insert(words, 1, s.op)
  if s.weight then table.insert(words, 1, s.weight .. "w") end
  table.insert(words, 1, s.act)
  local name = table.concat(words, "_") .. "__" .. s.target
  if not is_identifier(name) then refuse("ctext.symbol: want a C identifier, got %s", show(name)) end
  return name
end

-- a // b for a b that divides a. what: a name for the quotient in the error.
function ctext.div_exact(a, b, what)
  if math.type(a) ~= "integer" or math.type(b) ~= "integer" or b < 1 then
    refuse("%s: want an integer divided by a positive one, got %s / %s", what, show(a), show(b))
  end
  if a % b ~= 0 then refuse("%s: want a multiple of %d, got %d", what, b, a) end
  return a // b
end

return ctext
