-- Checks the vocabulary of the project: `lua5.4 tests/words.lua`. runtime/README.md lists the terms. Below are words
-- and identifiers that had a second meaning and were replaced; only those that cannot be right elsewhere are listed.

-- { pattern, better word, where = start of the paths that it is for, all unless given }
local RETIRED <const> = {
  { "%f[%w]behind%f[%W]", "after" },
  { "%f[%w]NaNs%f[%W]", "NaN" },
  { "%f[%w_]tells?%f[^%w_]", "say, report or write" },
  { "%f[%w]told%f[%W]", "given, or unless given" },
  { "%f[%w]Share%f[^%w_]", "Tiling" },
  { "%f[%w_]shares_of", "splits" },
  { "%f[%w_]share_%l", "fraction, tiling or split" },
  { "_shares?%f[^%w_]", "fraction, tiling or split" },
  { "%f[%w]shares? of%f[%W]", "fraction of" },
  { "%f[%w_]weight_row", "weight_spec" },
  { "%f[%w_]row_of%f[^%w_]", "the name of what it computes" },
  { "row_place", "offset" },
  { "%f[%w_]UNIT%f[^%w_]", "KBLOCK" },
  { "%f[%w]units? of columns", "kblock" },
  { "stage_of", "step" },
  { "%f[%w_]stages?%f[^%w_]", "staging buffer; a stage is one of the generator", where = "runtime/" },
  { "%f[%w_]stages?%f[^%w_]", "staging buffer; a stage is one of the generator", where = "templates/" },
  { "%f[%w_]take_%l", "allocate, read or use" },
  { "_take%f[^%w_]", "alloc" },
  { "give_back", "free or release" },
  { "_places?%f[^%w_]", "offset, position or index" },
  { "%f[%w_]place_of", "offset, position or index" },
  { "hidden_size", "d_model", where = "templates/" },
  { "HIDDEN_SIZE", "D_MODEL" },
  { "^%s*//%s*Of%f[%W]", "a sentence that begins with its subject" },
  { "^%s*%-%-%s*Of%f[%W]", "a sentence that begins with its subject" },
  { "%f[%w]one a %l", "one per" },
  { "%f[%w]tokens? a second", "per second" },
  { "%f[%w]block a row", "per row" },
  { "TODO", "an issue" }, { "FIXME", "an issue" },
}

-- Texts of others, and what the generator makes from templates.
local SKIPPED <const> = { "^generated/", "^tests/models/", "^tests/refused/", "^tests/vectors/o200k_harmony/",
  "^tests/vectors/harmony_cases%.json$", "^tests/demo/", "^gen/configs/", "^tests/gen/configs/", "%.csv$", "^LICENSE$",
  "^tests/words%.lua$" }

local function is_skipped(path)
  for _, pattern in ipairs(SKIPPED) do
    if path:find(pattern) then return true end
  end
  return false
end

local failed = false

local function check(path, file)
  local number = 0
  for line in file:lines() do
    number = number + 1
    for _, each in ipairs(RETIRED) do
      local first, last = line:find(each[1])
      if first and (not each.where or path:sub(1, #each.where) == each.where) then
        local found = line:sub(first, last):match("^%s*(.*)")
        print(string.format('%s:%d: want %s, found "%s"', path, number, each[2], found))
        failed = true
      end
    end
  end
end

for path in io.popen("git ls-files -co --exclude-standard"):lines() do
  local file = not is_skipped(path) and io.open(path)
  if file then
    check(path, file)
    file:close()
  end
end
os.exit(not failed)
