-- What tests/bench/drive.c and tests/bench/llama.c print -> rates. Pure.

local samples = {}

local function best(list) return math.max(table.unpack(list)) end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local half = #sorted // 2
  return #sorted % 2 == 1 and sorted[half + 1] or (sorted[half] + sorted[half + 1]) / 2
end

-- Jobs SEQUENCES:PROMPT:STEPS -> the most sequences of a job, the most positions of a sequence, rounded up to 1024; or
-- nil and the first word that is no job.
function samples.sizes(jobs)
  local most, positions = 1, 1
  for job in jobs:gmatch("%S+") do
    local sequences, prompt, steps = job:match("^(%d+):(%d+):(%d+)$")
    if not sequences then return nil, job end
    most, positions = math.max(most, math.tointeger(sequences)), math.max(positions, math.tointeger(prompt + steps))
  end
  return most, (positions + 1023) // 1024 * 1024
end

-- The rates of two programs that ran in turns -> the best of each, and their ratio, turn by turn.
function samples.compare(ours, theirs)
  local ratios = {}
  for turn = 1, #ours do ratios[turn] = ours[turn] / theirs[turn] end
  return { ours = best(ours), theirs = best(theirs), least = math.min(table.unpack(ratios)), most = best(ratios),
    median = median(ratios) }
end

-- A job that decodes is measured by its decoding, any other by its prompt.
local function is_measured(phase, job) return (phase == "prompt") == (job:match(":(%d+)$") == "0") end

-- "decode; 8 sequences", "prompt of 512"; several prompts of a job are "8 prompts of 512".
local function name_of(job)
  local sequences, prompt, steps = job:match("^(%d+):(%d+):(%d+)$")
  if steps ~= "0" then return string.format("decode; %s sequence%s", sequences, sequences == "1" and "" or "s") end
  return (sequences == "1" and "prompt" or sequences .. " prompts") .. " of " .. prompt
end

-- The output of a driver -> { threads =, read =, read_alone =, multiply = (the best of these lines; read_alone: of
--     threads that read one stream each; nil: none),
--   jobs = { { job =, name =, best =, median = (tokens per second over all rounds),
--              bytes =, flops = (per token) }, ... } }, in the order in which the jobs ran.
function samples.parse(text)
  local peaks, jobs, at = { read = {}, read_alone = {}, multiply = {} }, {}, {}
  for line in text:gmatch("[^\n]+") do
    local phase, job, rest = line:match("^(%a+) (%d+:%d+:%d+) (.+)$")
    local streams, read = line:match("^read (%d+) (%d+)$")
    table.insert(peaks.read, tonumber(read))
    if streams == "1" then table.insert(peaks.read_alone, tonumber(read)) end
    table.insert(peaks.multiply, tonumber(line:match("^multiply (%d+)$")))
    if phase and is_measured(phase, job) then
      local seconds, tokens, bytes, flops = rest:match("^(%S+) (%S+) (%S+) (%S+)$")
      if not at[job] then
        at[job] = { job = job, name = name_of(job), rates = {}, bytes = bytes / tokens, flops = flops / tokens }
        jobs[#jobs + 1] = at[job]
      end
      table.insert(at[job].rates, tokens / seconds)
    end
  end
  for _, each in ipairs(jobs) do each.best, each.median, each.rates = best(each.rates), median(each.rates), nil end
  local out = { threads = math.tointeger(text:match("threads (%d+)")), jobs = jobs }
  for name, rates in pairs(peaks) do out[name] = rates[1] and best(rates) end
  return out
end

-- The rates of a job: { { name =, value =, unit = }, ... }. The fractions are those of the best rates of the same run.
function samples.rows(parsed, job)
  local bytes, flops = job.best * job.bytes, job.best * job.flops
  return {
    { name = job.name, value = job.best, unit = "tok/s" },
    { name = job.name .. ": bytes", value = bytes / 1e9, unit = "GB/s" },
    { name = job.name .. ": of the reads", value = 100 * bytes / parsed.read, unit = "%" },
    { name = job.name .. ": of the reads of one stream each", value = 100 * bytes / parsed.read_alone, unit = "%" },
    { name = job.name .. ": operations", value = flops / 1e9, unit = "GFLOP/s" },
    { name = job.name .. ": of the multiply-adds", value = 100 * flops / parsed.multiply, unit = "%" },
  }
end

return samples
