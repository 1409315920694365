-- The record that describes a target: a machine (gen/target/NAME.lua) in one precision (gen/precision/). A module of
-- gen/target returns { mixed = record, fp32 = record or nil }.
--
-- The record's `kernel` has for each op a function (op, model, weights) -> choice. choice = {
--   template, because (why this template), weight (abbreviation in the symbol, or nil), act (the same; nil: "f32"),
--   name, fused, dims (of the symbol: see gen/ctext.lua), parameters (of the template),
--   flops (per row; of attention: per row and key),
--   tilings (their lines in summary.txt: list of { rows (up to how many, as text), type, because }, or nil: none),
-- }

local tables = require "gen.tables"

local target = {}

-- needed: "always", "fused" (by a record with fused = true: precision mixed of a GPU), or nil: the field is optional.
-- Records that do not need a field may have it all the same, since the precisions of a machine share its facts.
local FIELDS = {
  { name = "name", type = "text", needed = "always", means = "gfx90a, sm_90 or cpu; ends every device symbol" },
  { name = "precision", type = "text", needed = "always", means = "fp32 or mixed" },
  { name = "summary", type = "text", needed = "always", means = "one line for summary.txt and --list" },
  { name = "templates", type = "text", needed = "always", means = "the folder of the kernels' templates" },
  { name = "extension", type = "text", needed = "always", means = "of a kernel file" },
  { name = "device", type = "text", needed = "always", means = "device_<it>.o is linked" },
  { name = "kernel", type = "functions", needed = "always", means = "see above, by op" },
  { name = "stored", type = "function", needed = "always",
    means = "kind of gen/weights.lua, model -> stored dtype, layout" },
  { name = "staging_bytes", type = "integer", needed = "always", means = "staging buffers on the host" },
  { name = "defaults", type = "integers", needed = "always", keys = { "slots", "context", "rows", "chunk" },
    means = "limits if no option gives others" },

  { name = "builds_anywhere", type = "boolean", means = "no GPU's compiler is needed: `ninja` builds the tree" },
  { name = "threads_run_steps", type = "boolean", means = "all threads of the host go through the schedule" },
  { name = "joins", type = "table", means = "roles whose steps begin without a wait for other threads" },
  { name = "sorts_rows", type = "boolean", means = "the MoE kernels go expert by expert through sorted rows" },
  { name = "maps_checkpoint", type = "boolean", means = "tensors that stay as they are need no copy" },
  { name = "pairs_features", type = "boolean", means = "the two features of a RoPE pair are stored side by side" },
  { name = "fused", type = "boolean", means = "ops are those of gen/ops_fused.lua" },

  { name = "memory", type = "integer", means = "bytes of the device; nil: not bounded" },
  { name = "flops", type = "integer", means = "peak operations per second; nil: not known" },
  { name = "bytes_per_second", type = "integer", means = "peak memory bandwidth; nil: not known" },
  { name = "compute_units", type = "integer", needed = "fused", means = "CUs of AMD, multiprocessors of NVIDIA" },
  { name = "waves", type = "integer", needed = "fused", means = "waves (or warps) of a block of 256 threads" },
  { name = "block_overhead", type = "integer", needed = "fused",
    means = "products of two tiles that take as long as the rest of a staged block" },
  { name = "alone", type = "number", needed = "fused", means = "the part of a block that it takes more alone" },
  { name = "figures", type = "table", means = "figures of compiled kernels for summary.txt: list, with compiler" },

  { name = "code_layout", type = "text", needed = "fused", means = "the layout of MXFP4 tiles" },
  { name = "row", type = "integers", needed = "fused", keys = { "quads", "step" },
    means = "a block that has a row: its quads per thread; its threads are a multiple of step" },
  { name = "router", type = "table", needed = "fused",
    means = "list of { upto = rows, rows (of a block of norm_router), groups (most blocks of a row, for its experts), "
      .. "quads (of a row, per thread), at_once (experts of a wave), resident (blocks on a compute unit) }" },
  { name = "few", type = "table", needed = "fused", means = "tilings of dense matrices for few rows" },
  { name = "forms", type = "table", needed = "fused", means = "candidates for tilings of dense matrices, more rows" },
  { name = "unembed", type = "table", needed = "fused", means = "tilings of the unembedding" },
  { name = "experts", type = "table", needed = "fused", means = "tilings of expert matrices" },
  { name = "splits", type = "function", needed = "fused", means = "model -> splits of K for matmul_o" },
  { name = "group_rows", type = "function", needed = "fused", means = "model -> rows of an attention group" },
  { name = "work_numbers", type = "function", needed = "fused", means = "model, rows -> integers of a moe_work" },
  { name = "best_entries", type = "function", needed = "fused", means = "model -> entries of the argmax per output" },
  { name = "segments", type = "function", needed = "fused", means = "model -> segments of the vocabulary in a draw" },
  { name = "kv", type = "integers", needed = "fused", keys = { "block", "key_width", "value_depth", "pad" },
    means = "the KV cache in halves: positions per block; what a key and a value are padded to; bytes after a region" },
  { name = "kv_block", type = "integer",
    means = "the KV cache in floats: positions per block of keys, and what a key and a value are padded to" },
  { name = "attention_part", type = "integer", needed = "fused",
    means = "full attention over more positions has parts of about so many" },
  { name = "attention_parts", type = "integer", needed = "fused", means = "the most parts" },
  { name = "attention_waves", type = "integer", needed = "fused", means = "waves of an attention block" },
}

local WANT = { text = "a text", integer = "an integer", number = "a number", boolean = "true or false",
  table = "a table", ["function"] = "a function", functions = "a table of functions", integers = "a table of integers" }

local function has_type(value, name)
  if name == "integer" then return math.type(value) == "integer" end
  if name == "text" then return type(value) == "string" end
  if name == "functions" or name == "integers" then return type(value) == "table" end
  return type(value) == name
end

local function show(value)
  if value == nil then return "nothing" end
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) == "table" or type(value) == "function" then return "a " .. type(value) end
  return tostring(value)
end

-- The fields inside of a table of functions, by any name, or of integers, by the names of `field.keys`.
local function check_inside(field, value, refuse)
  local known = {}
  for _, key in ipairs(field.keys or tables.sorted_keys(value)) do
    known[key] = true
    local type_name = field.type == "functions" and "function" or "integer"
    if not has_type(value[key], type_name) then refuse(field.name .. "." .. key, WANT[type_name], value[key]) end
  end
  for _, key in ipairs(tables.sorted_keys(value)) do
    if not known[key] then refuse(field.name .. "." .. key, "a field of gen/target.lua", value[key]) end
  end
end

-- The gate of a target's record: each field is known, has its type, and is there if it is needed. where: the file
-- of the record, for messages. All errors are reported together.
function target.check(record, where)
  local known, errors = {}, {}
  local function refuse(name, want, found)
    errors[#errors + 1] = string.format("%s: %s: want %s, got %s", where, name, want, show(found))
  end
  for _, field in ipairs(FIELDS) do
    local value = record[field.name]
    local needed = field.needed == "always" or field.needed == "fused" and record.fused
    known[field.name] = true
    if (value ~= nil or needed) and not has_type(value, field.type) then
      refuse(field.name, WANT[field.type], value)
    elseif field.type == "functions" or value and field.keys then
      check_inside(field, value, refuse)
    end
  end
  for _, name in ipairs(tables.sorted_keys(record)) do
    if not known[name] then refuse(name, "a field of gen/target.lua", record[name]) end
  end
  if #errors > 0 then error(table.concat(errors, "\n"), 0) end
end

return target
