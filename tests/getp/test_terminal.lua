-- What a model writes, and what names of files hold, cannot drive a terminal. A file or a pipe gets the bytes.
-- luacheck: globals TestTerminal

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local abacus_chat = require "tests.getp.abacus_chat"
local scripted = require "tests.getp.scripted"
local support = require "tests.support"

local GETP = abacus_chat.GETP:gsub("timeout", "timeout --foreground")

-- ESC ] 0 ; x BEL, U+009B in two tokens, U+202E in three, a lone 0x9D: as ByteLevel spells the bytes.
local HOSTILE <const> = { "ě", "]", "0", ";", "x", "ć", "Â", "Ľ", "â", "Ģ", "®", "Ŀ" }
local RAW <const>, VISIBLE <const> = "\27]0;x\7\u{9B}\u{202E}\x9d", "^[]0;x^G<U+009B><U+202E><9D>"
local READ <const> = "\27]0;x\7\u{9B}\u{202E}\u{FFFD}" -- by the parser of replies, which returns UTF-8
local SEEN <const> = "^[]0;x^G<U+009B><U+202E>\u{FFFD}"

local FINAL <const> = { "<|channel|>", "f", "inal", "<|message|>" }
local ANALYSIS <const> = { "<|channel|>", "an", "alys", "is", "<|message|>" }

-- A model that says these words after `assistant`.
local function model(head, tail)
  local words = table.move(HOSTILE, 1, #HOSTILE, #head + 1, { table.unpack(head) })
  words[#words + 1] = tail
  return scripted.model("hostile", words)
end

-- Runs getp in a terminal -> the screen.
local function screen_of(arguments)
  local _, screen = support.run(string.format("TERM=xterm script -qec %s /dev/null </dev/null",
    support.quote(GETP .. " " .. arguments)))
  return screen
end

local function output_of(arguments)
  local _, out, err = support.run(string.format("%s %s </dev/null", GETP, arguments))
  return out, err
end

-- The lines of a screen are as they must be and hold no other control character.
local function assert_harmless(screen, want)
  lu.assertStrContains(screen, want)
  local own = screen:gsub("\27%[%d?m", ""):gsub("\27%[K", ""):gsub("\27%[%?2004[hl]", "")
  lu.assertNil(own:find "[%z\1-\8\11\12\14-\31\127]", own)
  lu.assertNil(own:find "\u{9B}" or own:find "\u{202E}" or own:find "\x9d", own)
end

TestTerminal = {}

function TestTerminal.test_answers()
  local chat = model(FINAL) .. " -m chat -i hi"
  assert_harmless(screen_of(chat), SEEN .. "\r\n")
  lu.assertEquals((output_of(chat)), READ .. "\n")
end

function TestTerminal.test_reasoning()
  local chat = model(ANALYSIS) .. " -m chat -i hi"
  assert_harmless(screen_of(chat), SEEN .. "\27[0m\r\n")
  local _, err = output_of(chat)
  lu.assertEquals(support.lines(err)[1], READ)
end

-- Arguments that are not JSON are a JSON string, in which C0 controls are escaped.
function TestTerminal.test_calls()
  local head = { "<|channel|>", "co", "mm", "entary", "Ġto", "=functions", ".get", "_code", "<|message|>" }
  local chat = model(head, "<|call|>") .. " -m chat -i hi --tools " .. abacus_chat.TOOLS
  local call = 'call functions.get_code "\\u001B]0;x\\u0007%s"'
  assert_harmless(screen_of(chat), call:format "<U+009B><U+202E>\u{FFFD}" .. "\r\n")
  local _, err = output_of(chat)
  lu.assertEquals(support.lines(err)[1], (call:format "\u{9B}\u{202E}\u{FFFD}"))
end

function TestTerminal.test_generate()
  local text = "assistant"
  local generate = model {} .. " -i " .. text
  assert_harmless(screen_of(generate), text .. VISIBLE .. "\r\n")
  lu.assertEquals((output_of(generate)), text .. RAW .. "\n")
  lu.assertStrContains(screen_of(model {} .. " -i \"$(printf 'a\\033b')\""), "a^[b")
end

function TestTerminal.test_decode()
  local ids = support.ids("hostile.ids", { scripted.ids(HOSTILE), scripted.ids { "â", "Ģ" }, scripted.ids { "Hello" } })
  local decode = string.format("decode -z %s -i %s", abacus_chat.TOKENIZER, ids)
  assert_harmless(screen_of(decode), VISIBLE .. "\r\n<E2><80>\r\nHello\r\n")
  lu.assertEquals((output_of(decode)), RAW .. "\n\xe2\x80\nHello\n")
end

function TestTerminal.test_names_of_files()
  local name = "\"$(printf 'no\\033where\\302\\233\\342\\200\\256')\""
  for _, arguments in ipairs { name .. " -i x", abacus_chat.MODEL .. " -f " .. name,
    abacus_chat.MODEL .. " -m chat --tools " .. name } do
    assert_harmless(screen_of(arguments), "getp: no?where<U+009B><U+202E>: ")
    local _, err = output_of(arguments)
    lu.assertStrContains(err, "getp: no?where\u{9B}\u{202E}: ")
  end
end

-- What files hold reaches messages, too: keys of JSON, names of tensors, texts of libraries.
function TestTerminal.test_keys_in_files()
  local esc, c1 = "\\u001b]0;x\\u0007", "\u{9B}\u{202E}"
  local config, path = support.read(abacus_chat.MODEL .. "/config.json"), support.scratch .. "/keys"
  local index = '{"weight_map":{"a%s%s":"b%s%s"}}'
  for name, text in pairs {
    ["generation_config.json"] = string.format('{"eos_token_id":"%s%s"}', esc, c1),
    ["config.json"] = config:gsub('"model_type": *"[^"]*"', '"model_type": "' .. esc:gsub("\\", "%0%0") .. c1 .. '"'),
    ["tokenizer.json"] = string.format('{"version":"1.0","%s%s":1}', esc, c1),
    ["model.safetensors.index.json"] = index:format(esc, c1, esc, c1),
  } do
    support.folder("keys", abacus_chat.MODEL, { [name] = text, ["model.safetensors"] = name:find "index" and false })
    lu.assertStrContains(screen_of(path .. " -i x"), "getp: " .. path)
    assert_harmless(screen_of(path .. " -i x"), "<U+009B><U+202E>")
  end
end

os.exit(lu.LuaUnit.run())
