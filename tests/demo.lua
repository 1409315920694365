-- `ninja demo`: abacus answers the prompts of tests/demo. Prints each answer, whether it is right, and the throughput.
-- Exit status 1 if fewer than 58 of the 60 answers are right.

local MIN_RIGHT <const> = 58
local GETP = "build/abacus-cpu/getp"
local MODEL = "tests/models/abacus"
local OUT = "build/demo.ids"

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  if not pipe:close() then os.exit(1) end
  return text
end

-- " 132<|return|>" -> "132"
local function answer_in(text) return (text:gsub("<|return|>$", ""):gsub("^ ", "")) end

local report = output_of(string.format("%s %s -m getp -i tests/demo/prompts.txt -o %s", GETP, MODEL, OUT))
local decoded = output_of(string.format("%s decode -z %s/tokenizer.json -i %s", GETP, MODEL, OUT))
local prompts, wanted = lines_of("tests/demo/prompts.txt"), lines_of("tests/demo/answers.txt")
local right, i = 0, 0
for line in decoded:gmatch("([^\n]*)\n") do
  i = i + 1
  local answer = answer_in(line)
  local is_right = answer == wanted[i]
  right = right + (is_right and 1 or 0)
  print(string.format("%s %s -> %s%s", is_right and "right" or "WRONG", prompts[i + 1], answer,
    is_right and "" or " (want " .. wanted[i] .. ")"))
end
print(string.format("%d of %d answers are right, %s tok/s", right, #wanted,
  report:match("TPS %(tok/s%): ([%d.]+)")))
os.exit(right >= MIN_RIGHT and i == #wanted)
