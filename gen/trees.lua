-- The committed trees: what `ninja regen` makes and `ninja check` proves current. Each entry holds the
-- options of gen/main.lua by their long names.
return {
  { config = "tests/models/abacus", target = "cpu" },
}
