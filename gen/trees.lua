-- The committed trees: `ninja regen` makes them, and `ninja check` proves them current. Each entry has the options of
-- gen/main.lua by their long names. .gitignore lists the same trees.
return {
  { config = "tests/models/abacus", target = "cpu" },
  { config = "tests/models/abacus", target = "gfx90a" },
  { config = "tests/models/abacus", target = "gfx90a", precision = "fp32" },
  { config = "tests/models/abacus_chat", target = "cpu" },
  { config = "gen/configs/gpt-oss-20b.json", target = "gfx90a", slots = 1536, context = 1024 },
  { config = "gen/configs/gpt-oss-20b.json", target = "gfx90a", precision = "fp32", context = 1024 },
}
