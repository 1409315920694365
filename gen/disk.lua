-- The files that the generator reads and writes. Everything is written beside its place and then renamed into it, so
-- that a run that is killed, or finds the disk full, leaves what was there or what should be there. What such a run
-- leaves beside them is removed, or put into its place, by the next run (disk.exclusively).
--
-- A folder NAME is made in three steps. .NAME.getp-part is filled, and is renamed .NAME.getp-new when it is complete.
-- The old folder becomes .NAME.getp-old, and the new one NAME. The old one is removed.

local lfs = require "lfs"
local tables = require "gen.tables"

local disk = {}

local LOCK <const> = ".lock"
local PART <const>, NEW <const>, OLD <const> = "getp-part", "getp-new", "getp-old"
local REMARK_AFTER <const> = 2 -- seconds of waiting

disk.was_read = {} -- every path that was looked at, for --depfile

-- A message for the user; main.lua prints it.
function disk.fail(format, ...) error(string.format(format, ...), 0) end

local fail = disk.fail

function disk.mode_of(path) return lfs.attributes(path, "mode") end

local mode_of = disk.mode_of

function disk.size_of(path) return lfs.attributes(path, "size") end

-- The message of io.open without the path in front; or another where there is none.
local function reason(path, message, otherwise)
  if not message then return otherwise end
  return message:sub(1, #path + 2) == path .. ": " and message:sub(#path + 3) or message
end

-- ---- reading ----

-- The text of a file, or its first `size` bytes.
function disk.read(path, size)
  disk.was_read[path] = true
  local file, message = io.open(path, "rb")
  local text = file and (size and file:read(size) or file:read("a"))
  if file then file:close() end
  if not text and not (file and size and mode_of(path) == "file") then
    fail("%s: cannot read the file: %s", path, reason(path, message, "it is a folder"))
  end
  return text or ""
end

-- The text of a file, or nil if it cannot be read.
local function text_of(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

-- Names in a folder, sorted; none if it is missing.
function disk.entries(folder, mode)
  local names = {}
  if mode_of(folder) ~= "directory" then return names end
  disk.was_read[folder] = true
  for name in lfs.dir(folder) do
    if not name:find("^%.%.?$") and mode_of(folder .. "/" .. name) == mode then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Whether two paths name one folder.
function disk.same_folder(a, b)
  local one, other = lfs.attributes(a), lfs.attributes(b)
  return a == b or one and other and one.dev == other.dev and one.ino == other.ino
end

-- ---- writing ----

function disk.make_folder(path)
  if mode_of(path) == "directory" then return end
  local parent = path:match("^(.+)/[^/]+$")
  if parent then disk.make_folder(parent) end
  local made, message = lfs.mkdir(path)
  if not made and mode_of(path) ~= "directory" then fail("%s: cannot make the folder: %s", path, message) end
end

-- path/NAME -> path/.NAME.WHAT
local function beside(path, what)
  local parent, name = path:match("^(.*/)([^/]+)$")
  return string.format("%s.%s.%s", parent or "", name or path, what)
end

-- Removes a file, a link, or a folder of files.
local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if not name:find("^%.%.?$") then os.remove(path .. "/" .. name) end
    end
  end
  os.remove(path)
end

-- path: what a message names if the text cannot be written to the file `to`.
local function write(path, to, text)
  local file, message = io.open(to, "wb")
  local written = file
  if file then written, message = file:write(text) end
  local closed, late = true, nil
  if file then closed, late = file:close() end
  if not written or not closed then
    fail("%s: cannot write the file: %s", path, reason(to, message or late, "the disk may be full"))
  end
end

local function rename(from, to)
  local done, message = os.rename(from, to)
  if not done then fail("%s: cannot be replaced: %s", to, reason(from, message)) end
end

-- Replaces a file, unless it has this text.
function disk.write_if_changed(path, text)
  if text_of(path) == text then return end
  local part = beside(path, PART)
  local ok, message = pcall(function()
    write(path, part, text)
    rename(part, path)
  end)
  if ok then return end
  os.remove(part)
  error(message, 0)
end

-- A file of a folder in the making. A text that the old folder has keeps its time, so that ninja does nothing.
local function fill(folder, part, name, text)
  local old, new = folder .. "/" .. name, part .. "/" .. name
  local same = text_of(old) == text
  if same and lfs.link(old, new) then return end
  write(old, new, text)
  if same then lfs.touch(new, lfs.attributes(old, "access"), lfs.attributes(old, "modification")) end
end

local function is_current(folder, files)
  for name, text in pairs(files) do
    if text_of(folder .. "/" .. name) ~= text then return false end
  end
  for _, name in ipairs(disk.entries(folder, "file")) do
    if not files[name] then return false end
  end
  return true
end

-- Makes a folder that holds these files, { [name] = text }, and no others, in place of the one that is there.
function disk.replace_folder(folder, files)
  if mode_of(folder) == "directory" and is_current(folder, files) then return end
  local part, new, old = beside(folder, PART), beside(folder, NEW), beside(folder, OLD)
  remove(part)
  local ok, message = pcall(function()
    disk.make_folder(part)
    for _, name in ipairs(tables.sorted_keys(files)) do fill(folder, part, name, files[name]) end
    rename(part, new)
  end)
  if ok and mode_of(folder) then ok, message = pcall(rename, folder, old) end
  if not ok then
    remove(part)
    remove(new)
    error(message, 0)
  end
  ok, message = pcall(rename, new, folder)
  if not ok then
    os.rename(old, folder)
    error(message, 0)
  end
  remove(old)
end

-- ---- one run at a time ----

-- Puts the folder in order after a run that was killed there. No other run is at work.
local function recover(folder)
  local left = {}
  for name in lfs.dir(folder) do
    local path, what = name:match("^%.(.+)%.(getp%-%l+)$")
    if path then left[#left + 1] = { path = folder .. "/" .. path, what = what } end
  end
  table.sort(left, function(a, b) return a.path .. a.what < b.path .. b.what end) -- getp-new before getp-old
  for _, each in ipairs(left) do
    local leftover = beside(each.path, each.what)
    if each.what == NEW and not mode_of(each.path) then
      rename(leftover, each.path)
    elseif each.what == NEW or each.what == OLD or each.what == PART then
      remove(leftover)
    end
  end
end

-- Waits until no other run has the file. The system frees it when a run ends, also a killed one.
local function lock(file, folder)
  local began, said = os.time(), false
  while not lfs.lock(file, "w") do
    if not said and os.time() - began > REMARK_AFTER then
      io.stderr:write("gen/main.lua: waiting for another run in ", folder, "\n")
      said = true
    end
    os.execute("sleep 0.05")
  end
end

-- Runs f while no other run of the generator reads or writes trees in the folder. A folder in which nothing can be
-- written needs no lock.
function disk.exclusively(folder, f)
  local file = mode_of(folder) == "directory" and io.open(folder .. "/" .. LOCK, "a")
  if not file then return f() end
  lock(file, folder)
  recover(folder)
  local results = table.pack(pcall(f))
  file:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return disk
