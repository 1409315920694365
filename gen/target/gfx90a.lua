-- AMD MI200: one GCD of an MI250 is one device.
return require("gen.target.hip").target {
  name = "gfx90a",
  memory = 68698000000, -- 63.98 GiB, what the runtime reports of a GCD's 64 GB
  -- The most that a compiled kernel may take, and the fewest waves that this must leave to a SIMD, to hide
  -- the latency of memory: tests/kernels/check_gfx90a.lua. A lane has 512 registers (VGPRs and AGPRs) to
  -- share among its waves, a compute unit 64 KiB of LDS to share among its blocks.
  kernel_limits = { registers = 128, lds = 65536, waves = 4 },
}
