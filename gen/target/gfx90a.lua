-- AMD MI200: one GCD of an MI250 is one device.
return require("gen.target.hip").target {
  name = "gfx90a",
  memory = 68698000000, -- 63.98 GiB, what the runtime reports of a GCD's 64 GB
  -- What tests/kernels/check_gfx90a.lua allows a compiled kernel. A SIMD has 512 registers a lane for all
  -- its waves: four waves, to hide the latency of memory, leave 128 to each. A compute unit has 64 KiB of LDS.
  kernel_limits = { vgprs = 128, lds = 65536, waves = 4 },
}
