-- `ninja time`: predicts how long the passes of a tree take on one GCD of an MI250, by the roles of its schedule. It
-- runs tests/emulator/pass.c on the emulator; tests/emulator/README.md says how far to trust it. The environment can
-- say otherwise:
--   ROWS     rows of the passes ("1 64 256 896 1536")
--   TREE     a tree in generated/ for gfx90a (gpt-oss-20b-gfx90a)
--   CONTEXT  positions of each sequence (512)
--   SKEW     how unequally popular the experts are: the standard deviation of the logarithm of their popularity (0)
--   ROLES    only these roles of the schedule; then the line of a pass is left out
--   EMULATOR_PARAMETERS  other values for the model of the machine

package.path = "./?.lua;" .. package.path
local passes = require "tests.emulator.passes"

local getenv = os.getenv
local options = { tree = getenv("TREE") or "gpt-oss-20b-gfx90a", context = getenv("CONTEXT") or "512",
  skew = getenv("SKEW") or "0", roles = getenv("ROLES") or "" }

passes.build(options.tree)
for rows in (getenv("ROWS") or "1 64 256 896 1536"):gmatch("%S+") do
  local steps = passes.run(options, rows)
  print(passes.table(steps))
  if options.roles == "" then print(passes.summary(steps, rows) .. "\n") end
end
