-- Judged kernels as text: a table for people, and gen/target/gfx90a_figures.lua for summary.txt.
-- judged = list of { path, compiler, kernel (assembly.lua), measured (figures.lua) }

local report = { figures_path = "gen/target/gfx90a_figures.lua" }

local HEAD = { "kernel", "clang", "VGPR + AGPR", "spilled", "LDS", "waves", "MFMAs", "VALU : LDS : L1 %",
  "barriers per 64 k", "loads in flight", "slots per MFMA", "one wave", "all waves" }

local function line(cells) return "| " .. table.concat(cells, " | ") .. " |" end

local function number(value) return string.format("%.3g", value) end

-- The figures of the hot loop as cells; dashes if the kernel has none.
local function loop_cells(of)
  if not of.code then return { "-", "-", "-", "-", "-", "-", "-" } end
  local slots = of.slots and string.format("%.1f", of.slots_per_mfma) or "?"
  if of.slots_per_tile then slots = slots .. string.format(", per tile %.0f", of.slots_per_tile) end
  return {
    string.format("%.0f %%", of.mfma_percent),
    string.format("%.0f : %.0f : %.0f", of.valu_load, of.lds_load, of.l1_load), number(of.barriers_per_64_k),
    string.format("%.0f KiB", of.loads_in_flight / 1024), slots,
    of.slots and string.format("%.2f", of.busy) or "?", of.slots and string.format("%.2f", of.busy_at_most) or "?",
  }
end

local function table_line(each)
  local kernel, of = each.kernel, each.measured
  local cells = { string.format("`%s`", kernel.name), each.compiler.version:match("^%d+"),
    string.format("%d + %d", kernel.vgprs, kernel.agprs), string.format("%d", kernel.vgpr_spills),
    string.format("%d", kernel.lds), number(of.waves) }
  local loop = loop_cells(of)
  return line(table.move(loop, 1, #loop, #cells + 1, cells))
end

-- The table as a list of lines, one per kernel and compiler.
function report.table(judged)
  local lines = { line(HEAD), (line(HEAD):gsub("[^|]+", "---")) }
  for _, each in ipairs(judged) do lines[#lines + 1] = table_line(each) end
  return lines
end

-- The worse value of each figure of two kernels with one name, which were compiled for two trees.
local function worst(a, b)
  if not a then return b end
  return { name = a.name, vgprs = math.max(a.vgprs, b.vgprs), agprs = math.max(a.agprs, b.agprs),
    lds = math.max(a.lds, b.lds), waves = math.min(a.waves, b.waves),
    mfma_percent = math.min(a.mfma_percent, b.mfma_percent), slots = math.max(a.slots, b.slots), per = a.per }
end

local function entry(each)
  local kernel, of = each.kernel, each.measured
  local slots, per = of.slots_per_mfma, "per MFMA"
  if of.slots_per_tile then slots, per = of.slots_per_tile, "per tile" end
  return { name = kernel.name, vgprs = kernel.vgprs, agprs = kernel.agprs, lds = kernel.lds, waves = of.waves,
    mfma_percent = of.mfma_percent, slots = slots, per = per }
end

local ENTRY = [[
  { kernel = %q,
    vgprs = %d, agprs = %d, lds = %d, waves = "%.3g", mfma_percent = "%.0f", slots = "%.1f %s" },
]]

-- The text of the figures file: the kernels with matrix instructions by the compiler of that version, sorted by name.
function report.figures(judged, version)
  local of, names, entries = {}, {}, {}
  for _, each in ipairs(judged) do
    if each.measured.code and each.compiler.version == version then
      local name = each.kernel.name
      if not of[name] then names[#names + 1] = name end
      of[name] = worst(of[name], entry(each))
    end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local e = of[name]
    entries[i] = ENTRY:format(e.name, e.vgprs, e.agprs, e.lds, e.waves, e.mfma_percent, e.slots, e.per)
  end
  return string.format([[
-- Written by `ninja figures`: clang %s's machine code of the matrix kernels of the committed gfx90a trees and of
-- attention over long contexts, for summary.txt. tests/machine_code/check_gfx90a.lua fails if it is out of date.
return {
  compiler = %q,
%s}
]], version, version, table.concat(entries))
end

return report
