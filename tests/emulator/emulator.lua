-- The emulator for the tests that run programs for a GPU.

local emulator = {}

local NINJA <const> = "tests/emulator/emulator.ninja"
local FOLDER <const> = "build/emulator"

-- Builds it. False and ninja's output if that fails.
function emulator.build()
  local pipe = assert(io.popen("ninja --quiet -f " .. NINJA .. " 2>&1"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

-- What to write in front of a shell command so that its programs find the emulator in place of the HIP runtime.
-- settings: more variables, "EMULATOR_RACE=1".
function emulator.prefix(settings)
  return string.format("LD_LIBRARY_PATH=%s %s ", FOLDER, settings or "")
end

return emulator
