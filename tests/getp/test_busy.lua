-- Other load on the cores: threads that spin while they wait lose whole time slices, threads that sleep do not.
-- luacheck: globals TestBusy

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local PROMPTS <const> = support.prompts("busy.prompts",
  { "Thank you!", "Who are you?", "Sort 74 82 25.", "What is 27 + 4?", "q", "Count from 53 to 57." })
local TRIES <const> = 3

-- Runs with_load() while four processes per core do nothing but count.
local function under_load(with_load)
  local count = 4 * tonumber((select(2, support.run "nproc")))
  local pids = select(2, support.run(string.format(
    "for i in $(seq %d); do sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $!; done", count)))
  local ok, message = pcall(with_load)
  support.run("kill " .. pids:gsub("\n", " "))
  assert(ok, message)
end

-- Tokens per second, the best of some runs.
local function rate(environment)
  local best = 0
  for _ = 1, TRIES do
    local job = string.format("%s -m getp -i %s -o %s -n 40", abacus.MODEL, PROMPTS, abacus.OUT)
    local out = abacus.run(job, environment)
    best = math.max(best, tonumber(out:match("%(tok/s%): ([%d.]+)")))
  end
  return best
end

TestBusy = {}

-- The rate is not far from that of threads that sleep at once. Threads that spin as libgomp's default says would have a
-- fiftieth of it.
function TestBusy.test_threads_sleep()
  under_load(function()
    local sleeping, default = rate "OMP_WAIT_POLICY=passive", rate "env -u OMP_WAIT_POLICY"
    lu.assertTrue(default * 4 >= sleeping, string.format("%.1f tok/s, %.1f asleep", default, sleeping))
  end)
end

-- What the user has set stays.
function TestBusy.test_the_users_choice_stays()
  for _, set in ipairs { "OMP_WAIT_POLICY=active", "GOMP_SPINCOUNT=7" } do
    local command = string.format("env -u OMP_WAIT_POLICY %s OMP_DISPLAY_ENV=verbose %s --plan", set, abacus.GETP)
    local _, _, err = support.run(command)
    lu.assertStrContains(err, set:find "active" and "OMP_WAIT_POLICY = 'ACTIVE'" or "GOMP_SPINCOUNT = '7'")
  end
end

os.exit(lu.LuaUnit.run())
