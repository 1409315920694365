-- Helpers of the tests that run programs: commands, files, logits, models.

local lfs = require "lfs"
local support = { scratch = os.getenv("GETP_SCRATCH") or "build/tests/scratch" }

function support.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- Writes a file below the scratch folder and returns its path.
function support.write(name, text)
  os.execute("mkdir -p " .. support.scratch)
  local path = support.scratch .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

function support.exists(path) return lfs.attributes(path, "mode") ~= nil end

function support.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- Runs a shell command -> its exit status (128 + n after signal n), stdout, stderr.
function support.run(command)
  os.execute("mkdir -p " .. support.scratch)
  local out, err = support.scratch .. "/stdout", support.scratch .. "/stderr"
  local _, how, status = os.execute(string.format("{ %s\n} >%s 2>%s", command, out, err))
  return how == "signal" and 128 + status or status, support.read(out), support.read(err)
end

-- The path of a tree's getp: that of the tests if it was built, else that of a committed tree.
function support.getp(tree)
  local own = "build/tests/" .. tree .. "/getp"
  return support.exists(own) and own or "build/" .. tree .. "/getp"
end

-- Writes a file of prompts for getp mode.
function support.prompts(name, list)
  return support.write(name, #list .. "\n" .. table.concat(list, "\n") .. "\n")
end

-- Writes a file of ids, one sequence per line.
function support.ids(name, sequences)
  local lines = {}
  for i, sequence in ipairs(sequences) do lines[i] = table.concat(sequence, " ") .. "\n" end
  return support.write(name, table.concat(lines))
end

-- The largest relative L2 error |got - want| / |want| of a position, which has `vocab` float32; and the sums of the
-- squares of got - want and of want over all positions.
function support.worst_error(got, want, vocab)
  assert(#got == #want, string.format("want %d bytes of logits, got %d", #want, #got))
  local worst, all_difference, all_norm = 0.0, 0.0, 0.0
  for first = 1, #got, 4 * vocab do
    local difference, norm = 0.0, 0.0
    for at = first, first + 4 * (vocab - 1), 4 do
      local x, y = string.unpack("<f", got, at), string.unpack("<f", want, at)
      difference, norm = difference + (x - y) ^ 2, norm + y ^ 2
    end
    local this = math.sqrt(difference / norm)
    if not (this <= worst) then worst = this end -- luacheck: ignore 581 (NaN counts as the worst)
    all_difference, all_norm = all_difference + difference, all_norm + norm
  end
  return worst, all_difference, all_norm
end

-- Makes a new checkpoint folder of links to the files of `model`. `changes` has the text of files that differ, and
-- false for files to leave out. Returns the path of the folder.
function support.folder(name, model, changes)
  local path = support.scratch .. "/" .. name
  assert(os.execute("rm -rf " .. path .. " && mkdir -p " .. path))
  for file in lfs.dir(model) do
    if file:find("^[^.]") and changes[file] == nil then
      assert(lfs.link(lfs.currentdir() .. "/" .. model .. "/" .. file, path .. "/" .. file, true))
    end
  end
  for file, text in pairs(changes) do
    if text then support.write(name .. "/" .. file, text) end
  end
  return path
end

-- The lines of a text.
function support.lines(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

return support
