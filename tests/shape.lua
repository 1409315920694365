-- No function of the sources is longer than 80 lines, unless a comment right above it says why with
-- the word "long".

local LIMIT = 80
local OPEN = { c = "%)%s*{$", lua = "^%s*[%a_].*function[%s%w_.:]*%(.*%)$" }
local CLOSE = { c = "^}", lua = "^end" }

local function check(path, kind)
  local bad, n, start, excused, last = {}, 0, nil, false, ""
  for line in io.lines(path) do
    n = n + 1
    if not start and line:find(OPEN[kind]) then start, excused = n, last:find("long") ~= nil end
    if start and line:find(CLOSE[kind]) then
      if n - start > LIMIT and not excused then
        bad[#bad + 1] = string.format("%s:%d: %d lines", path, start, n - start)
      end
      start = nil
    end
    last = line
  end
  return bad
end

local failed = false
for path in io.popen("git ls-files -co --exclude-standard '*.c' '*.h' '*.lua' | grep -v ^generated/"):lines() do
  for _, line in ipairs(check(path, path:match("%.lua$") and "lua" or "c")) do
    print(line)
    failed = true
  end
end
os.exit(not failed)
