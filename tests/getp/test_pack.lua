-- getp pack: the packed file gives the same bits as the checkpoint, in the cpu tree and in GPU trees in the CPU harness
-- (`lua5.4 tests/gpu/run.lua simt_64 abacus` builds those). Bad input is refused with one line and leaves no file.
-- luacheck: globals TestFile TestVerify TestPacking TestRefused

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"
local lu = require "luaunit"
local support = require "tests.support"

local GETP = "timeout 60 " .. support.getp("abacus-cpu")
local MODEL = "tests/models/abacus"
local TOKENIZER = MODEL .. "/tokenizer.json"
local DEMO = "tests/demo/prompts.txt"
local FILE = support.scratch .. "/packed"
local OUT = support.scratch .. "/packed.out"
local HARNESS = "build/simt_64/"

local function run(arguments, program)
  local status, out, err = support.run((program or GETP) .. " " .. arguments)
  lu.assertEquals({ err, status }, { "", 0 }, arguments)
  return out
end

local function pack(model, flags, program)
  run(string.format("pack %s -o %s %s", model, FILE, flags or ""), program)
  return support.read(FILE)
end

-- The output file of a mode.
local function output_of(mode, checkpoint, input, program)
  run(string.format("%s -m %s -i %s -o %s", checkpoint, mode, input, OUT), program)
  return support.read(OUT)
end

local function refused(arguments, message, before)
  local status, _, err = support.run((before or "") .. GETP .. " " .. arguments)
  lu.assertEquals({ err, status }, { "getp: " .. message .. "\n", 1 }, arguments)
end

local function job(checkpoint) return checkpoint .. " -i x" end

local function remove_files()
  for _, ending in ipairs { "", ".out" } do os.remove(FILE .. ending) end
end

-- ---- results from a packed file ----

TestFile = { tearDown = remove_files }

local SEQUENCES = { { 296, 268, 220, 23, 434, 220, 22, 30 }, { 19, 22, 488, 220, 23, 20, 426, 220, 16 }, { 7 } }

local function assert_same(mode, model, input, program)
  lu.assertTrue(output_of(mode, FILE, input, program) == output_of(mode, model, input, program), mode)
end

-- The file is enough: the folder that it was packed from is gone.
function TestFile.test_all_modes()
  local folder = support.folder("packed_from", MODEL, {})
  pack(folder)
  assert(os.execute("rm -r " .. folder))
  assert_same("getp", MODEL, DEMO)
  assert_same("logits", MODEL, support.ids("packed.ids", SEQUENCES))
  lu.assertStrContains(select(2, support.run(GETP .. " " .. FILE .. " -i '47 + 85 ='")), "47 + 85 = 132\n")
  local chat = " -m chat --date 2026-11-27 -i '47 + 85 =' </dev/null"
  lu.assertEquals(run(FILE .. chat), run(MODEL .. chat))
end

function TestFile.test_logits_of_other_models()
  for _, model in ipairs { "rand_mxfp4", "rand_bf16", "rand_tied", "odd_f16", "odd_sharded", "odd_128_experts" } do
    local program, folder = "timeout 60 " .. support.getp(model .. "-cpu"), "tests/models/" .. model
    local status, _, err = support.run(string.format("%s pack %s -o %s", program, folder, FILE))
    local remark = string.format("getp: %s: want a tokenizer.json in it, found none: %s will need -z\n", folder, FILE)
    lu.assertEquals({ err, status }, { remark, 0 })
    assert_same("logits", folder, support.ids("packed.ids", { { 1, 5, 9, 2, 0, 33 }, { 3 } }), program)
  end
end

function TestFile.test_trees_in_the_harness()
  for _, tree in ipairs { "abacus-gfx90a-fp32", "abacus-gfx90a" } do
    local program = "timeout 300 " .. HARNESS .. tree .. "/getp"
    pack(MODEL, "", program)
    assert_same("logits", MODEL, support.ids("packed.ids", SEQUENCES), program)
    assert_same("getp", MODEL, support.prompts("packed.txt", { "47 + 85 =" }), program)
  end
end

function TestFile.test_tiles_in_the_harness()
  local program = HARNESS .. "test_packed_mixed"
  local status, out, err = support.run(string.format("ninja -f tests/simt_64.ninja %s && %s", program, program))
  lu.assertEquals(status, 0, out .. err)
end

function TestFile.test_tokenizer()
  local status, _, err = support.run(string.format("%s pack tests/models/rand_mxfp4 -o %s -z %s",
    support.getp "rand_mxfp4-cpu", FILE, TOKENIZER))
  lu.assertEquals({ err, status },
    { "getp: " .. TOKENIZER .. ": want ids below the model's vocab_size 515, found 1023\n", 1 })
  local other = support.write("packed.json", (support.read(TOKENIZER):gsub("<|return|>", "<|reburn|>")))
  pack(MODEL, "-z " .. other)
  run(string.format("%s -m getp -i %s -o %s", FILE, support.prompts("packed.txt", { "47 + 85 =" }), OUT))
  lu.assertEquals(support.read(OUT), output_of("getp", MODEL, support.prompts("packed.txt", { "47 + 85 =" })))
  status, _, err = support.run(GETP .. " " .. FILE .. " -m chat </dev/null")
  lu.assertEquals({ err, status },
    { "getp: chat: want a tokenizer of the harmony format (gpt-oss), found one without <|return|>\n", 1 })
  local chat = " -m chat -i '47 + 85 =' --date 2026-11-27 </dev/null"
  lu.assertEquals(run(FILE .. " -z " .. TOKENIZER .. chat), (run(MODEL .. chat)))
end

-- ---- --verify ----

TestVerify = { setUp = remove_files, tearDown = remove_files }

local DAMAGED = FILE .. ": want undamaged content, found another checksum than its head has: pack the checkpoint anew"

-- Changes one bit of the packed file at `byte`.
local function damage(byte)
  local file = assert(io.open(FILE, "r+b"))
  file:seek("set", byte)
  local old = file:read(1):byte()
  file:seek("set", byte)
  file:write(string.char(old ~ 8))
  file:close()
end

-- Without a text or a mode, --verify is all that is done.
function TestVerify.test_alone()
  local bytes = #pack(MODEL)
  local undamaged = string.format("%s: undamaged, %d bytes packed for abacus-cpu\n", FILE, bytes)
  for _, threads in ipairs { 1, 3 } do
    lu.assertEquals(run(FILE .. " --verify", "OMP_NUM_THREADS=" .. threads .. " " .. GETP), undamaged)
  end
  lu.assertEquals(run("--verify " .. FILE, "timeout 60 " .. support.getp "abacus_chat-cpu"), undamaged)
  for _, byte in ipairs { 384, 4000, bytes // 2, bytes - 70000 } do
    damage(byte)
    refused(FILE .. " --verify", DAMAGED)
    damage(byte)
  end
  lu.assertEquals(run(FILE .. " --verify"), undamaged)
end

-- With a mode, nothing runs if the file is damaged; without --verify nobody looks.
function TestVerify.test_before_a_run()
  local want = output_of("getp", MODEL, DEMO)
  local bytes = #pack(MODEL)
  lu.assertTrue(output_of("getp", FILE .. " --verify", DEMO) == want)
  damage(bytes // 2)
  os.remove(OUT)
  refused(job(FILE) .. " --verify", DAMAGED)
  refused(FILE .. " --verify -m logits -i x -o " .. OUT, DAMAGED)
  refused(FILE .. " --verify -i x", DAMAGED)
  refused(FILE .. " --verify -m chat </dev/null", DAMAGED)
  lu.assertFalse(support.exists(OUT))
  lu.assertEquals(support.run(string.format("%s %s", GETP, job(FILE))), 0)
end

function TestVerify.test_progress()
  pack(MODEL)
  local command = string.format("%s %s --verify", GETP, FILE)
  local _, shown = support.run(string.format("script -qec %s /dev/null", support.quote(command)))
  lu.assertStrContains(shown, ": undamaged, ")
end

function TestVerify.test_what_has_no_checksum()
  local message = ": want a file of `getp pack` for --verify, found another kind, which has no checksum"
  refused(MODEL .. " --verify", MODEL .. message)
  refused(job(MODEL) .. " --verify", MODEL .. message)
  refused(TOKENIZER .. " --verify", TOKENIZER .. message)
  refused("nowhere --verify", "nowhere: No such file or directory")
  refused("--verify", "CHECKPOINT: want a folder or a packed file, found none: see --help")
  for _, mode in ipairs { "pack", "decode" } do
    refused(mode == "pack" and "pack x -o y --verify" or "decode -z x -i y --verify",
      "--verify: want a mode that runs a packed file, found " .. mode .. ": see --help")
  end
  refused("x --verify --profile", "--profile: want a mode that runs steps, found --verify alone: see --help")
end

-- Files of the first version, which had no checksum, and of the second one, which had the words of panels in another
-- order.
function TestVerify.test_an_earlier_version()
  for version = 1, 2 do
    local old = pack(MODEL):gsub("^(getp packed\n\0\0\0\0)\3", "%1" .. string.char(version))
    support.write("packed", old)
    for _, arguments in ipairs { FILE .. " --verify", job(FILE) } do
      refused(arguments, FILE .. ": want packing version 3, found " .. version .. ": pack the checkpoint anew")
    end
  end
end

-- ---- packing ----

TestPacking = { tearDown = remove_files }

function TestPacking.test_same_bytes()
  local want = pack(MODEL)
  for _, threads in ipairs { 1, 3 } do
    lu.assertTrue(pack(MODEL, "", "OMP_NUM_THREADS=" .. threads .. " " .. GETP) == want, threads)
  end
  lu.assertEquals(#want % 64, 0)
end

function TestPacking.test_an_earlier_file_is_replaced()
  local want = pack(MODEL)
  support.write("packed", "old")
  lu.assertTrue(pack(MODEL) == want)
end

function TestPacking.test_a_folder_with_the_name_pack()
  local here = lfs.currentdir()
  local folder = support.folder("pack", MODEL, {})
  run(string.format("cd %s && %s/%s pack pack -o %s/%s", support.scratch, here, support.getp "abacus-cpu", here, FILE),
    "")
  assert(os.execute("rm -r " .. folder))
  assert_same("getp", MODEL, DEMO)
end

-- On a terminal, which `script` provides, getp says how far it is.
function TestPacking.test_progress()
  local command = string.format("%s pack %s -o %s", GETP, MODEL, FILE)
  local _, shown = support.run(string.format("script -qec %s /dev/null", support.quote(command)))
  lu.assertStrMatches(shown, "\rpacking %d+%.%d of %d+%.%d GB, .* s left.*")
end

-- Whenever the signal comes, FILE is either the whole new file or the old one.
function TestPacking.test_signals()
  local want = pack(MODEL)
  local stopped = 0
  for i = 0, 40 do
    support.write("packed", "old")
    local status, _, err = support.run(string.format("%s pack %s -o %s & pack=$!; sleep 0.%03d; kill -%s $pack; "
      .. "wait $pack", support.getp "abacus-cpu", MODEL, FILE, 2 * i, i % 2 == 0 and "INT" or "TERM"))
    local whole = support.read(FILE)
    lu.assertTrue(status == 0 and whole == want or status ~= 0 and whole == "old", status .. ": " .. err)
    if err:find("^getp: [^\n]+: not written: signal %d+\n$") then stopped = stopped + 1 end
  end
  print("# " .. stopped .. " of 41 runs were stopped before the end")
end

-- ---- refusals ----

TestRefused = { tearDown = remove_files }

function TestRefused.test_names_of_files()
  local to = "pack " .. MODEL .. " -o "
  refused(to .. "nowhere/file", "nowhere/file: No such file or directory")
  refused(to .. TOKENIZER .. "/file", TOKENIZER .. "/file: Not a directory")
  refused(to .. "tests", "tests: want a file, found a folder")
  refused(to .. "/dev/full", "/dev/full: No space left on device")
  refused(to .. "''", '-o: want the name of a file, found "": see --help')
  refused("pack " .. MODEL, "-o: want the name of a file, found none: see --help")
  refused("pack -o x", "CHECKPOINT: want a folder or a packed file, found none: see --help")
  refused("pack pack " .. MODEL .. " -o x",
    string.format('CHECKPOINT: want one, found "pack" and "%s": see --help', MODEL))
end

function TestRefused.test_no_room()
  support.write("packed", "old\n")
  local status, _, err = support.run(string.format("ulimit -f 1000; %s pack %s -o %s", GETP, MODEL, FILE))
  lu.assertStrMatches(err, "getp: " .. FILE .. ": cannot reserve %d+ bytes: File too large\n")
  lu.assertEquals({ status, support.read(FILE) }, { 1, "old\n" })
end

function TestRefused.test_checkpoints()
  refused("pack tests/models/rand_bf16 -o " .. FILE, "config.json: vocab_size: want 1024 for this getp, found 384: "
    .. "generate one from this checkpoint's config.json")
  local broken = support.folder("packed_from", MODEL, { ["tokenizer.json"] = "{}" })
  local status, _, err = support.run(string.format("%s pack %s -o %s", GETP, broken, FILE))
  lu.assertEquals(status, 1)
  lu.assertStrMatches(err, "getp: " .. broken .. "/tokenizer%.json: [^\n]+\n")
  lu.assertFalse(support.exists(FILE))
end

function TestRefused.test_what_needs_the_checkpoint()
  pack(MODEL)
  local want = FILE .. ": want a checkpoint folder %s, found a packed file"
  refused(string.format("%s -m logits --reference -i x -o %s", FILE, OUT), want:format("for --reference"))
  refused(job(FILE), want:format("for GETP_PARITY"), "GETP_PARITY=3 ")
  refused("pack " .. FILE .. " -o " .. OUT, want:format("to pack"))
end

function TestRefused.test_other_files()
  local want = ": want a checkpoint folder, a file of `getp pack` or an exporter's .bin, found a "
  support.write("packed", "")
  refused(job(FILE), FILE .. want .. "file of another kind")
  support.write("packed", "getp packe")
  refused(job(FILE), FILE .. want .. "file of another kind")
  refused(job(MODEL .. "/model.safetensors"),
    MODEL .. "/model.safetensors" .. want .. "safetensors file: name the folder that it lies in")
  refused(job "/dev/null", "/dev/null: want a folder or a regular file, found something else")
end

function TestRefused.test_a_file_of_another_tree()
  support.run(string.format("%s pack tests/models/rand_bf16 -o %s", support.getp "rand_bf16-cpu", FILE))
  refused(job(FILE), FILE .. ": want a file packed for abacus-cpu, found one for rand_bf16-cpu: "
    .. "pack it with this getp")
end

function TestRefused.test_no_tokenizer()
  local program = support.getp "rand_bf16-cpu"
  support.run(string.format("%s pack tests/models/rand_bf16 -o %s", program, FILE))
  local status, _, err = support.run(string.format("%s %s -i x", program, FILE))
  local want = "getp: " .. FILE .. ": want a tokenizer.json in it, found none: name one with -z\n"
  lu.assertEquals({ err, status }, { want, 1 })
end

function TestRefused.test_cut_off()
  local whole = pack(MODEL)
  for _, bytes in ipairs { 16, 100, 383 } do
    support.write("packed", whole:sub(1, bytes))
    refused(job(FILE), string.format("%s: %s: pack the checkpoint anew", FILE,
      bytes < 20 and "want packing version 3, found 0" or "want an undamaged head, found a damaged one"))
  end
  for _, bytes in ipairs { 384, 4096, #whole // 2, #whole - 1 } do
    support.write("packed", whole:sub(1, bytes))
    refused(job(FILE), string.format("%s: want %d bytes, found %d: pack the checkpoint anew", FILE, #whole, bytes))
  end
end

os.exit(lu.LuaUnit.run())
