-- The committed trees: what `ninja regen` makes and `ninja check` proves current. Each entry holds the
-- options of gen/main.lua by their long names.
return {
  { config = "tests/models/abacus", target = "cpu" },
  { config = "tests/models/abacus", target = "gfx90a" },
  { config = "tests/models/abacus", target = "gfx90a", precision = "fp32" },
  { config = "gen/configs/gpt-oss-20b.json", target = "gfx90a", slots = 1536, context = 1024 },
  { config = "gen/configs/gpt-oss-20b.json", target = "gfx90a", precision = "fp32", context = 1024 },
}
