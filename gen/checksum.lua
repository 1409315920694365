-- The checksum that the program cksum of POSIX prints, so that a build without Lua can compute it: CRC-32, most
-- significant bit first, over the bytes and then the length of a text.

local checksum = {}

local POLYNOMIAL <const> = 0x04C11DB7

local TABLE = {}
for byte = 0, 255 do
  local crc = byte << 24
  for _ = 1, 8 do crc = (crc << 1) ~ (crc & 0x80000000 ~= 0 and POLYNOMIAL or 0) end
  TABLE[byte] = crc & 0xFFFFFFFF
end

-- list of texts -> what cksum prints of all of them, one after another: "CRC BYTES".
function checksum.of(texts)
  local crc, size = 0, 0
  local function add(byte) crc = (crc << 8 & 0xFFFFFFFF) ~ TABLE[crc >> 24 ~ byte] end
  for _, text in ipairs(texts) do
    for at = 1, #text do add(text:byte(at)) end
    size = size + #text
  end
  local left = size
  while left > 0 do
    add(left & 0xFF)
    left = left >> 8
  end
  return string.format("%d %d", ~crc & 0xFFFFFFFF, size)
end

return checksum
