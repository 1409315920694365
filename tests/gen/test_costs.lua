-- gen/costs.lua: bytes and operations against figures that were computed by hand for gpt-oss-20b.
-- luacheck: globals TestCosts
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local gfx90a = require "gen.target.gfx90a"
local lu = require "luaunit"

local D_MODEL <const>, HEADS <const>, KV_HEADS <const>, D <const>, VOCAB <const> = 2880, 64, 8, 64, 201088

local function costs_of(target, context)
  local stages = chain.run(chain.GPT_OSS_20B, nil, { target = target, context = context })
  local of = {}
  for _, cost in ipairs(stages.costs) do of[cost.role] = cost end
  return of, stages
end

TestCosts = {}

function TestCosts.test_one_for_each_kernel_in_its_order()
  for _, target in ipairs { gfx90a.fp32, gfx90a.mixed } do
    local _, stages = costs_of(target)
    local roles = {}
    for i, kernel in ipairs(stages.kernels.list) do roles[i] = kernel.role end
    for i, cost in ipairs(stages.costs) do lu.assertEquals(cost.role, roles[i]) end
    lu.assertEquals(#stages.costs, #roles)
  end
end

function TestCosts.test_a_row_uses_one_row_of_the_embeddings()
  local fp32, mixed = costs_of(gfx90a.fp32).embed, costs_of(gfx90a.mixed).embed
  lu.assertEquals(fp32.weight_bytes, 0)
  lu.assertEquals(fp32.bytes, D_MODEL * (4 + 4)) -- the table's row, x
  lu.assertEquals(mixed.weight_bytes, D_MODEL * 4) -- of the first norm
  lu.assertEquals(mixed.bytes, D_MODEL * (2 + 4 + 2) + 4) -- the table's row, x, h, the blocks that have arrived
end

function TestCosts.test_matrices()
  local cost = costs_of(gfx90a.fp32)
  local n = (HEADS + 2 * KV_HEADS) * D
  lu.assertEquals(cost.matmul_qkv, { role = "matmul_qkv", per = "ROWS", weight_bytes = 4 * (n * D_MODEL + n),
    bytes = 4 * (D_MODEL + n), flops = 2 * n * D_MODEL, key_bytes = 0 })
  lu.assertEquals(cost.matmul_unembed, { role = "matmul_unembed", per = "OUTPUTS",
    weight_bytes = 4 * VOCAB * D_MODEL, bytes = 4 * (D_MODEL + VOCAB), flops = 2 * VOCAB * D_MODEL, key_bytes = 0 })
end

-- The residual stream is read and written.
function TestCosts.test_updates_count_twice()
  lu.assertEquals(costs_of(gfx90a.fp32).matmul_o.bytes, 4 * (HEADS * D + 2 * D_MODEL))
end

function TestCosts.test_experts()
  local cost = costs_of(gfx90a.mixed)
  for role, n in pairs { moe_gate_up = 2 * D_MODEL, moe_down = D_MODEL } do
    local tile = 64 + D_MODEL // 64 * 544 -- runtime/formats/tiles.h
    lu.assertEquals(cost[role].per, "EXPERTS")
    lu.assertEquals(cost[role].weight_bytes, 32 * (n // 16 * tile + 4 * n), role)
    lu.assertEquals(cost[role].flops, 4 * 2 * n * D_MODEL, role)
  end
  lu.assertEquals(cost.moe_combine.per, "ROWS")
end

function TestCosts.test_attention_reads_keys()
  for precision, bytes in pairs { fp32 = 4, mixed = 2 } do
    local cost = costs_of(gfx90a[precision])
    lu.assertEquals(cost.attn_full.per, "FULL")
    lu.assertEquals(cost.attn_sliding.per, "SLIDING")
    lu.assertEquals(cost.attn_full.key_bytes, 2 * KV_HEADS * D * bytes, precision)
    lu.assertEquals(cost.attn_full.flops, 4 * HEADS * D, precision)
  end
end

-- A row reads q and writes the sums of at least one part: for each head a mix and two numbers. The merge reads these
-- and writes as many bytes as attention over few positions does.
function TestCosts.test_attention_in_parts()
  local cost, whole = costs_of(gfx90a.mixed, 4096), costs_of(gfx90a.mixed, 1024).attn_full
  local q, part = 2 * HEADS * D, 4 * HEADS * (D + 2)
  lu.assertEquals(cost.attn_full, { role = "attn_full", per = "FULL", weight_bytes = 0, bytes = q + part,
    flops = whole.flops, key_bytes = whole.key_bytes })
  lu.assertEquals(cost.attn_merge, { role = "attn_merge", per = "ROWS", weight_bytes = 4 * HEADS, bytes = part + q,
    flops = 2 * HEADS * D, key_bytes = 0 })
  lu.assertEquals({ whole.weight_bytes, whole.bytes }, { 4 * HEADS, 2 * q })
end

-- The step that appends to the cache writes a key and a value per row.
function TestCosts.test_appending_to_the_cache()
  local n = (HEADS + 2 * KV_HEADS) * D
  lu.assertEquals(costs_of(gfx90a.fp32).rope_append.bytes, 4 * 2 * n + 4 * 2 * KV_HEADS * D)
  lu.assertEquals(costs_of(gfx90a.mixed).matmul_qkv.bytes, 2 * (D_MODEL + HEADS * D + 2 * KV_HEADS * D))
end

os.exit(lu.LuaUnit.run())
