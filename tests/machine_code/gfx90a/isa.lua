-- What an instruction of gfx90a costs: its class, its issue slots of 4 clocks, its bytes. Instructions are as the
-- compiler writes them; `op` is their first word.

local isa = {}

local MEMORY = { global = true, buffer = true, flat = true }
local KIND = { load = "read", store = "write", atomic = "atomic" }
local GLOBAL_BYTES = { ubyte = 1, sbyte = 1, byte = 1, ushort = 2, sshort = 2, short = 2, dword = 4, dwordx2 = 8,
  dwordx3 = 12, dwordx4 = 16 }
local LDS_BYTES = { b8 = 1, u8 = 1, i8 = 1, b16 = 2, u16 = 2, i16 = 2, b32 = 4, b64 = 8, b96 = 12, b128 = 16 }
local DEFAULT_BYTES = 4 -- of atomics and permutations of one dword

-- v_mfma_f32_16x16x16f16 -> 16 (height and width of the result), 16 (its k); nil for an instruction that is no MFMA
function isa.mfma(op)
  local size, k = op:match("^v_mfma_%a%d+_(%d+)x%d+x(%d+)")
  return math.tointeger(size), math.tointeger(k)
end

-- Issue slots for which an MFMA occupies the matrix core; 0 for any other instruction.
function isa.mfma_slots(op)
  local size = isa.mfma(op)
  if not size then return 0 end
  if op:find("f64$") then return size == 16 and 8 or 4 end
  return size == 32 and 16 or size == 16 and 8 or 2
end

-- Issue slots of a vector instruction: transcendental functions run at a quarter of the rate.
local TRANSCENDENTAL = { exp = true, log = true, rcp = true, rsq = true, sqrt = true, sin = true, cos = true }
function isa.vector_slots(op) return TRANSCENDENTAL[op:match("^v_(%a+)_")] and 4 or 1 end

-- The class of an instruction: "mfma" | "valu" | "salu" | "lds" | "global" | "scratch" | "barrier" | "wait".
function isa.class(op)
  if op:find("^v_mfma") then return "mfma" end
  local prefix = op:match("^(%a+)_")
  if prefix == "v" then return "valu" end
  if prefix == "ds" then return "lds" end
  if MEMORY[prefix] then return "global" end
  if prefix == "scratch" then return "scratch" end
  if op == "s_barrier" then return "barrier" end
  return op:find("^s_waitcnt") and "wait" or "salu"
end

local function global_access(op)
  local prefix, kind, width = op:match("^(%a+)_(%a+)_?([%w_]*)$")
  if not MEMORY[prefix] or not KIND[kind] then return nil end
  width = width:gsub("_d16_hi", ""):gsub("_d16", ""):gsub("format_", "")
  return { space = "global", kind = KIND[kind], bytes = GLOBAL_BYTES[width] or DEFAULT_BYTES }
end

local function lds_access(op)
  local kind, two, rest = op:match("^ds_(%a+)(2?)([%w_]*)$")
  if not kind then return nil end
  if kind ~= "read" and kind ~= "write" then return { space = "lds", kind = "exchange", bytes = DEFAULT_BYTES } end
  local width = rest:gsub("^st64", ""):match("^_(%a%d+)")
  return { space = "lds", kind = kind, bytes = (LDS_BYTES[width] or DEFAULT_BYTES) * (two == "2" and 2 or 1) }
end

-- The access of an instruction to memory or LDS: { space = "global" | "lds", kind = "read" | "write" | "atomic" |
-- "exchange", bytes = per lane }; nil if it makes none.
function isa.access(op) return global_access(op) or lds_access(op) end

return isa
