-- Passes of precision mixed in the CPU harness, where steps are captured and the device picks the next token itself.
-- The ids do not depend on slots, chunks or timing, and are those that the host would pick from whole logits.
-- `lua5.4 tests/gpu/run.lua simt_64 mixed abacus` builds what this runs.
-- luacheck: globals TestPasses

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local support = require "tests.support"

local GETP <const> = "OMP_NUM_THREADS=1 timeout 300 build/simt_64/abacus-gfx90a/getp"
local MODEL <const>, VOCAB <const>, TOKENS <const> = "tests/models/abacus", 1024, 40
local OUT <const> = support.scratch .. "/passes.out"

local function run(arguments)
  local status, out, err = support.run(GETP .. " " .. arguments)
  lu.assertEquals(status, 0, err)
  return out, err
end

-- The beginnings of some reference sequences up to a "=" or "?": getp's tokenizer gives the same ids for their text.
local function heads()
  local list = {}
  for i, sequence in ipairs(assert(json.decode(support.read(MODEL .. "/reference.json"))).sequences) do
    local n = #sequence
    while n > 0 and sequence[n] ~= 426 and sequence[n] ~= 30 do n = n - 1 end
    if n > 0 and n < 20 and i <= 12 then list[#list + 1] = { table.unpack(sequence, 1, n) } end
  end
  return list
end

local HEADS <const> = heads()
local PROMPTS <const> =
  support.lines(run(string.format("decode -z %s/tokenizer.json -i %s", MODEL, support.ids("passes.ids", HEADS))))

-- Runs getp mode -> the text of its output file, and stderr.
local function getp(flags, prompts)
  local path = support.prompts("passes.prompts", prompts or PROMPTS)
  local _, err = run(string.format("%s -m getp -i %s -o %s -n %d %s", MODEL, path, OUT, TOKENS, flags))
  return support.read(OUT), err
end

-- The id of the largest logit of a row; of equal logits the lowest id.
local function best_of(bytes, row)
  local best, highest
  for id = 0, VOCAB - 1 do
    local value = string.unpack("<f", bytes, 4 * (VOCAB * row + id) + 1)
    if not highest or value > highest then best, highest = id, value end
  end
  return best
end

TestPasses = {}

function TestPasses.test_slots_and_chunks()
  local batches = { "-b 2 --chunk 3", "-b 1", "-b 5 --chunk 1" }
  for sampling, tried in pairs { [""] = 3, ["-t 5 -p 1 -s 8"] = 2, ["-t 5 -p 0.8 --top-k 40 -s 8"] = 1,
    ["-t 6 -p 1 --min-p 0.05 -s 8"] = 1 } do
    local all = getp(sampling)
    for i = 1, tried do
      lu.assertEquals(getp(sampling .. " " .. batches[i]), all, sampling .. " " .. batches[i])
    end
  end
end

-- There are more prompts than the smallest bucket has rows, and more than there are slots.
function TestPasses.test_many_at_a_time()
  local many = {}
  for i = 0, 39 do many[i + 1] = PROMPTS[i % #PROMPTS + 1] end
  for _, sampling in ipairs { "", "-t 1 -p 0.000001" } do
    local one, all = support.lines((getp(sampling))), support.lines((getp(sampling, many)))
    for i, line in ipairs(all) do lu.assertEquals(line, one[(i - 1) % #PROMPTS + 1], i) end
  end
end

function TestPasses.test_timed()
  local plain = getp("")
  local timed, text = getp("--profile")
  lu.assertEquals(timed, plain)
  for _, role in ipairs { "embed", "attn_full", "moe_gate_up", "unembed_best", "pick_best", "all" } do
    lu.assertNotNil(text:find("\n" .. role .. " +%d+ +%d"), text)
  end
  timed, text = getp("-t 1 -s 3 --profile")
  lu.assertEquals(timed, (getp("-t 1 -s 3")))
  for _, role in ipairs { "unembed", "vocab_sums", "draw" } do
    lu.assertNotNil(text:find("\n" .. role .. " +%d+ +%d"), text)
  end
end

-- What leaves only the most probable token gives the device's own pick.
function TestPasses.test_a_draw_from_the_first_alone()
  for _, cut in ipairs { "-p 0.000001", "-p 1 --top-k 1", "-p 1 --min-p 1" } do
    lu.assertEquals(getp("-t 1 " .. cut), (getp("")), cut)
  end
end

function TestPasses.test_picks_are_those_of_whole_logits()
  local whole, first = {}, 0
  lu.assertTrue(#HEADS >= 5)
  for i, line in ipairs(support.lines((getp("")))) do
    whole[i] = table.move(HEADS[i], 1, #HEADS[i], 1, {})
    for id in line:gmatch("%d+") do table.insert(whole[i], math.tointeger(tonumber(id))) end
  end
  run(string.format("%s -m logits -i %s -o %s", MODEL, support.ids("passes.ids", whole), OUT))
  local logits = support.read(OUT)
  for i, sequence in ipairs(whole) do
    lu.assertTrue(#sequence > #HEADS[i])
    for n = #HEADS[i], #sequence - 1 do
      lu.assertEquals(best_of(logits, first + n - 1), sequence[n + 1], i .. ", " .. n)
    end
    first = first + #sequence
  end
end

os.exit(lu.LuaUnit.run())
