-- Compares what the steps of one pass leave in two trees, by the files that dump_steps.c writes. The k-th time a
-- quantity is left in one tree belongs to the k-th time in the other: all trees compute the quantities of a layer in
-- the same order, whatever steps they fuse. Quantities that only one tree leaves in memory are not compared.

local json = require "dkjson"
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local steps = {}

-- The most that a row of a quantity may differ, as relative L2: |got - want| / |want|. Floats are added in another
-- order and rounded to 2^-24: some 1e-6 after a few layers. Halves are rounded to 2^-11 = 5e-4 before each product:
-- up to 6e-3 in the reference models (weights of experts), three times of which is the bound.
local BOUND <const> = { floats = 1e-4, halves = 2e-2 }

-- Logits of two experts nearly tie if they differ by less than this, in units of the range of all experts' logits.
-- Which of the two is chosen is then a matter of rounding; near_ties.c derives the number.
local NEAR <const> = { floats = 2.0 ^ -18, halves = 2.0 ^ -8 }

-- The most tokens of each of several sequences, and of a sequence alone.
local TOKENS <const>, LONG <const> = 40, 200

-- ---- the pass ----

-- The reference sequences of a model, the longest first.
local function list_sequences(folder)
  local sequences = assert(json.decode(support.read(folder .. "/reference.json"))).sequences
  table.sort(sequences, function(a, b) return #a > #b end)
  return sequences
end

local function head(sequence, most) return table.move(sequence, 1, math.min(most, #sequence), 1, {}) end

-- A file of ids with the beginnings of a model's two longest and two shortest reference sequences.
function steps.write_ids(folder)
  local all, heads = list_sequences(folder), {}
  for _, i in ipairs { 1, 2, #all - 1, #all } do heads[#heads + 1] = head(all[i], TOKENS) end
  return support.ids("steps.ids", heads)
end

-- A file of ids with the longest one alone.
function steps.write_longest(folder) return support.ids("steps.ids", { head(list_sequences(folder)[1], LONG) }) end

-- Builds dump_steps for a tree and returns its path; `change` is that of trees.link_program.
function steps.build(machine, tree, change)
  local program = string.format("%s/steps/%s", change and support.scratch or machine.folder, tree.name)
  trees.must("mkdir -p " .. program:match("^(.*)/"))
  trees.link_program(machine, tree, "tests/gpu/dump_steps.c", program, change)
  return program
end

-- The rows of a pass that has the last `last` tokens (0: all) of each sequence -> list of { sequence, position }.
local function list_rows(ids, last)
  local rows = {}
  for i, line in ipairs(support.lines(support.read(ids))) do
    local _, n = line:gsub("%d+", "")
    for position = last > 0 and math.max(n - last, 0) or 0, n - 1 do
      rows[#rows + 1] = { sequence = i - 1, position = position }
    end
  end
  return rows
end

-- The text of a file of dump_steps, and list_rows of its pass -> { rows = list_rows, tree = its name,
-- form = "floats" | "halves", list = records in order, of = { quantity = its records in order } },
-- record = { layer, role, quantity, rows, columns, number = its index in `of`, text and at = where its values are }.
function steps.parse(text, list)
  local dump, at = { rows = list, list = {}, of = {} }, text:find("\n", 1, true) + 1
  dump.tree, dump.form = text:match("^tree (%S+) (%S+)\n")
  while at <= #text do
    local stop = text:find("\n", at, true)
    local layer, role, quantity, rows, columns = text:sub(at, stop):match("^(%S+) (%S+) (%S+) (%d+) (%d+)\n$")
    local all = dump.of[quantity] or {}
    local record = { layer = tonumber(layer), role = role, quantity = quantity, rows = math.tointeger(tonumber(rows)),
      columns = math.tointeger(tonumber(columns)), number = #all + 1, text = text, at = stop + 1 }
    dump.of[quantity], all[record.number] = all, record
    dump.list[#dump.list + 1] = record
    at = stop + 1 + 4 * record.rows * record.columns
  end
  return dump
end

-- Runs a program of steps.build on a pass. Where a step ends the program, what was left before it is the dump, and
-- `failure` is what the program said.
function steps.dump(program, folder, ids, last)
  local path = support.scratch .. "/steps.values"
  os.remove(path)
  local status, _, err = support.run(string.format("timeout 300 %s %s %s %d %s", program, folder, ids, last, path))
  local text = support.exists(path) and support.read(path) or ""
  if not text:find("^tree [^\n]*\n.") then error(string.format("%s: exit status %d: %s", program, status, err), 0) end
  local dump = steps.parse(text, list_rows(ids, last))
  dump.failure = status ~= 0 and (err:match("[^\n]+") or "exit status " .. status) or nil
  return dump
end

-- ---- comparing ----

-- The values of a record's row, counted from 0.
local function values_of_row(record, row)
  local values, first = {}, record.at + 4 * row * record.columns
  for i = 1, record.columns do values[i] = string.unpack("<f", record.text, first + 4 * (i - 1)) end
  return values
end

local function difference_of(got, want)
  local difference, norm = 0.0, 0.0
  for i, y in ipairs(want) do difference, norm = difference + (got[i] - y) ^ 2, norm + y ^ 2 end
  return difference == 0 and 0.0 or math.sqrt(difference / norm)
end

-- The largest difference of a row, and which row that is. NaN is larger than every number.
local function worst_row(got, want, left_out)
  local worst, at = 0.0, nil
  for row = 0, got.rows - 1 do
    local this = left_out[row] and 0.0 or difference_of(values_of_row(got, row), values_of_row(want, row))
    if worst == worst and (this > worst or this ~= this) then worst, at = this, row end
  end
  return worst, at
end

local function set_of(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

-- True if the experts of a row ascend, as they should, and all that only one of the two lists has nearly tie, by the
-- logits of the router.
local function is_near_tie(got, want, logits, near)
  local in_got, in_want = set_of(got), set_of(want)
  local range = math.max(table.unpack(logits)) - math.min(table.unpack(logits))
  for i = 2, #got do
    if got[i] <= got[i - 1] then return false end
  end
  for _, chosen in ipairs(want) do
    for _, other in ipairs(got) do
      local better, worse = logits[chosen + 1], logits[other + 1]
      local swapped = not in_got[chosen] and not in_want[other]
      if swapped and not (worse and better - worse < near * range) then return false end
    end
  end
  return true
end

-- Counts the rows whose experts differ: those that are wrong, and the near ties. What comes after a near tie is another
-- number in its row and in all later rows of its sequence, which are left out from then on.
local function compare_experts(got, want, router, near, rows, left_out)
  local wrong, ties, at = 0, 0, nil
  for row = 0, got.rows - 1 do
    local a, b = values_of_row(got, row), values_of_row(want, row)
    if not left_out[row] and difference_of(a, b) ~= 0 then
      if router and is_near_tie(a, b, values_of_row(router, row), near) then
        ties = ties + 1
        for other = row, got.rows - 1 do
          left_out[other] = left_out[other] or rows[other + 1].sequence == rows[row + 1].sequence
        end
      else
        wrong, at = wrong + 1, at or row
      end
    end
  end
  return wrong, ties, at
end

local function check_shapes(got, want)
  if got.rows ~= want.rows or got.columns ~= want.columns then
    error(string.format("%s of %s: want %d x %d numbers, found %d x %d", got.quantity, got.role, want.rows,
      want.columns, got.rows, got.columns), 0)
  end
end

local function number(value) return value ~= value and "NaN" or string.format("%.2g", value) end

-- Compares a record with that of the reference -> whether it is wrong, by how much, what else there is to say.
local function compare(got, want, pass)
  check_shapes(got, want)
  local function where(row)
    return row and string.format("sequence %d, position %d", pass.rows[row + 1].sequence, pass.rows[row + 1].position)
      or ""
  end
  if got.quantity == "expert" then
    local router = pass.router and pass.router[got.number]
    local wrong, ties, at = compare_experts(got, want, router, NEAR[pass.form], pass.rows, pass.left_out)
    local remark = ties > 0 and string.format("%d more in near ties", ties) or where(at)
    return wrong > 0, string.format("%d of %d rows", wrong, got.rows), remark
  end
  local worst, at = worst_row(got, want, pass.left_out)
  return not (worst <= BOUND[pass.form]), number(worst), where(at) -- luacheck: ignore 581
end

local function layer_of(record) return record.layer < 0 and "" or string.format("layer %02d, ", record.layer) end

local function verdict(record, size, form)
  local step = string.format("first wrong step: %s%s: %s: ", layer_of(record), record.role, record.quantity)
  if record.quantity == "expert" then return step .. size .. " have other experts" end
  return string.format("%srelative L2 %s, bound %g", step, size, BOUND[form])
end

local LINE <const> = "%-5s %-15s %-15s %-14s %-12s %s"

-- The verdict on two dumps of which one may be of a pass that failed, if no step before that differs.
local function verdict_on_end(got, want)
  local failed = got.failure and got or want.failure and want
  if not failed then return nil, "no step differs" end
  local record = failed.list[#failed.list]
  return record, string.format("the pass failed after %s%s: %s", layer_of(record), record.role, failed.failure)
end

-- Compares two dumps of one pass -> the lines of a table, the last of which names the first step of `got` that is
-- wrong; and a record of that step, or nil.
function steps.diff(got, want)
  local lines = { LINE:format("layer", got.tree, want.tree, "quantity", "relative L2", "of") }
  local pass = { rows = got.rows, left_out = {}, router = want.of.router,
    form = (got.form == "halves" or want.form == "halves") and "halves" or "floats" }
  local first, last
  for _, record in ipairs(got.list) do
    local other = (want.of[record.quantity] or {})[record.number]
    if other then
      local wrong, size, remark = compare(record, other, pass)
      local layer = record.layer < 0 and "" or string.format("%02d", record.layer)
      lines[#lines + 1] = LINE:format(layer, record.role, other.role, record.quantity, size, remark):gsub(" +$", "")
      if wrong and not first then first, last = record, verdict(record, size, pass.form) end
    end
  end
  if not first then first, last = verdict_on_end(got, want) end
  lines[#lines + 1] = last
  return lines, first
end

return steps
