-- Do the harness and the reference logits see a mistake in a kernel? Puts one mistake after another into
-- the kernels of the rand_mxfp4 tree for gfx90a, each in a getp of its own in build/simt_64/mutants, and
-- runs it in the CPU harness: it must fail, or give logits that are not transformers', in one of the
-- harness's orders. Prints TAP, one test a mutant. The getp without a mistake must pass first, in each.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local support = require "tests.support"

local MODEL, TREE = "tests/models/rand_mxfp4", "rand_mxfp4-gfx90a-fp32"
local NINJA, FOLDER = "tests/simt_64.ninja", "build/simt_64"
local SOURCES, OBJECTS = FOLDER .. "/trees/" .. TREE, FOLDER .. "/" .. TREE
local HEADERS = { "target/gfx90a.h", "target/hip.h" } -- those that a mutant has copies of
local BOUND = 1e-4                                    -- relative L2 error of a position's logits
local LONGEST = 50                                    -- tokens of a sequence; the window has 7
local ORDERS = 2                                      -- SIMT_ORDER is 0 to this
local SECONDS = 20                                    -- a mutant that runs for longer hangs, and is killed
local AT_A_TIME = 2                                   -- compilers

support.scratch = FOLDER .. "/mutants"

-- `text` stands once in `kernel`.hip, or in `header`, and `mutant` takes its place.
local MUTANTS = {
  { name = "an element past the row", kernel = "embed", text = "i < HIDDEN", mutant = "i <= HIDDEN" },
  { name = "no barrier between the rounds of the sum", kernel = "norm_attn", header = "target/hip.h",
    text = "shared[t] += shared[t + half];\n    __syncthreads();", mutant = "shared[t] += shared[t + half];" },
  { name = "no barrier between the maximum and the sum", kernel = "attn_full", header = "target/hip.h",
    text = "block_sum(float value, float *shared) {\n  const int t = (int)threadIdx.x;\n  __syncthreads();",
    mutant = "block_sum(float value, float *shared) {\n  const int t = (int)threadIdx.x;" },
  { name = "no barrier between q and the scores", kernel = "attn_sliding",
    text = "__syncthreads(); // q is there", mutant = "// q is there" },
  { name = "a window of one position more", kernel = "attn_sliding",
    text = "last - WINDOW + 1;", mutant = "last - WINDOW;" },
  { name = "the key-value heads in turn", kernel = "attn_full",
    text = "KV_ROW(slot[r], h / GROUP,", mutant = "KV_ROW(slot[r], h % KV_HEADS," },
  { name = "no sink in the sum", kernel = "attn_full", text = "total = 1,", mutant = "total = 0," },
  { name = "v in the place of k", kernel = "rope_append",
    text = "keys + KV_HALF(positions)", mutant = "keys" },
  { name = "cos and sin swapped", kernel = "rope_append",
    text = "pass->rope_cos, pass->rope_sin", mutant = "pass->rope_sin, pass->rope_cos" },
  { name = "no residual", kernel = "matmul_o", text = "] += sum + bias[n]", mutant = "] = sum + bias[n]" },
  { name = "gate and up swapped", kernel = "moe_gate_up",
    text = "*gate = weight + row * K, *up = gate + K;", mutant = "*up = weight + row * K, *gate = up + K;" },
  { name = "the first expert's bias for all", kernel = "moe_down", text = "biases[row]", mutant = "biases[n]" },
}

local failed = false

local function report(good, what)
  failed = failed or not good
  print((good and "ok " or "not ok ") .. what:gsub("\n$", ""):gsub("\n", "\n# "))
end

local function must(command)
  local status, out, err = support.run(command)
  if status ~= 0 then error(string.format("%s%s%s: exit status %d", out, err, command, status), 0) end
  return out
end

-- ---- building ----

-- Text with `with` for each `what`, and how many there were.
local function replace(text, what, with)
  return text:gsub(what:gsub("%p", "%%%0"), (with:gsub("%%", "%%%%")))
end

local function getp(folder) return folder .. "/getp" end

local function build_tree()
  must(string.format("lua5.4 gen/main.lua --config %s --target gfx90a --precision fp32 --name %s --out %s", MODEL,
    TREE, FOLDER .. "/trees"))
  must(string.format("ninja -f %s %s/simt_64/libsimt.a", NINJA, FOLDER))
  must(string.format("ninja -f %s %s", NINJA, TREE))
end

-- The command by which ninja makes a file, from the lines of all.
local function command_of(commands, output)
  for _, line in ipairs(commands) do
    if (line .. " "):find(" -o " .. output .. " ", 1, true) then return line end
  end
  error(NINJA .. ": want a command that makes " .. output, 0)
end

-- Copies the kernel and the headers that it may find beside itself, with the mistake in one of them.
-- Returns how often the text to be replaced is there, and in which file.
local function copy(mutant, folder)
  local kernel = mutant.kernel .. ".hip"
  local texts, changed = { [kernel] = support.read(SOURCES .. "/" .. kernel) }, mutant.header or kernel
  for _, name in ipairs(HEADERS) do texts[name] = support.read("runtime/" .. name) end
  local text, count = replace(texts[changed], mutant.text, mutant.mutant)
  texts[changed] = text
  must("mkdir -p " .. folder .. "/target")
  for name, content in pairs(texts) do support.write(folder:match("[^/]+$") .. "/" .. name, content) end
  return count, changed
end

-- The command that compiles the copy, which shall still find the headers of its tree before all others,
-- and links it in the place of the kernel.
local function build_command(mutant, folder, commands)
  local name = mutant.kernel .. ".o"
  local object = OBJECTS .. "/" .. name
  local compile = replace(command_of(commands, object), object, folder .. "/" .. name)
  compile = replace(compile, "-c " .. SOURCES .. "/", "-iquote " .. SOURCES .. " -c " .. folder .. "/")
  local link = replace(command_of(commands, getp(OBJECTS)), object, folder .. "/" .. name)
  return string.format("{ %s && %s\n} 2>&1", compile, (replace(link, getp(OBJECTS), getp(folder))))
end

-- ---- running ----

-- -> { ids = file of the sequences to run, want = their logits as transformers has them, vocab }
local function selection()
  local reference = assert(json.decode(support.read(MODEL .. "/reference.json")))
  local vocab = assert(json.decode(support.read(MODEL .. "/config.json"))).vocab_size
  local logits, chosen, want, first = support.read(MODEL .. "/logits.f32"), {}, {}, 0
  for _, sequence in ipairs(reference.sequences) do
    if #sequence <= LONGEST then
      chosen[#chosen + 1] = sequence
      want[#want + 1] = logits:sub(4 * vocab * first + 1, 4 * vocab * (first + #sequence))
    end
    first = first + #sequence
  end
  return { ids = support.ids("ids", chosen), want = table.concat(want), vocab = vocab }
end

-- What is wrong with a getp in one order, or nil.
local function fault(program, input, order)
  local out = support.scratch .. "/logits.f32"
  local command = string.format("SIMT_ORDER=%d timeout -s KILL %d %s %s -m logits -i %s -o %s", order, SECONDS, program,
    MODEL, input.ids, out)
  local status, _, message = support.run(command)
  if status ~= 0 then return string.format("exit status %d in order %d: %s", status, order, message) end
  local worst = support.worst_error(support.read(out), input.want, input.vocab)
  if worst < BOUND then return nil end
  return string.format("an error of %.2g in order %d", worst, order)
end

local function first_fault(program, input)
  for order = 0, ORDERS do
    local found = fault(program, input, order)
    if found then return found end
  end
  return nil
end

-- ---- the mutants ----

-- Starts the build of a mutant -> { name, folder, pipe }; without a pipe if its text is not there once.
local function start(mutant, number, commands)
  local folder = support.scratch .. "/" .. number
  local count, file = copy(mutant, folder)
  if count ~= 1 then
    report(false, string.format("%s: want its text once in %s, found it %d times", mutant.name, file, count))
    return { name = mutant.name }
  end
  return { name = mutant.name, folder = folder, pipe = assert(io.popen(build_command(mutant, folder, commands))) }
end

local function finish(build, input)
  if not build.pipe then return end
  local output = build.pipe:read("a")
  if not build.pipe:close() then
    return report(false, build.name .. ": does not compile: " .. (output:match("[^\n]*error:[^\n]*") or output))
  end
  local found = first_fault(getp(build.folder), input)
  report(found ~= nil, build.name .. ": " .. (found and "caught by " .. found or "survived"))
end

local function main()
  build_tree()
  local input = selection()
  local found = first_fault(getp(OBJECTS), input)
  report(found == nil, "no mistake: " .. (found or "passes in each order"))
  if found then return end
  local commands = support.lines(must(string.format("ninja -f %s -t commands %s", NINJA, TREE)))
  local builds = {}
  for i = 1, #MUTANTS + AT_A_TIME - 1 do
    if MUTANTS[i] then builds[i] = start(MUTANTS[i], i, commands) end
    local ready = i - AT_A_TIME + 1
    if builds[ready] then finish(builds[ready], input) end
  end
end

main()
os.exit(not failed)
