-- Tables by name and in order.

local tables = {}

-- list of records with a name -> { [name] = record }
function tables.by_name(list)
  local of = {}
  for _, each in ipairs(list) do of[each.name] = each end
  return of
end

-- The keys of a table, sorted as text.
function tables.sorted_keys(of)
  local keys = {}
  for key in pairs(of) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

return tables
