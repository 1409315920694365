-- Written by `ninja figures`: what clang 15.0.6 makes of the matrix kernels of the committed gfx90a trees, for
-- their summary.txt. tests/kernels/check_gfx90a.lua holds that it is so.
return {
  compiler = "15.0.6",
}
