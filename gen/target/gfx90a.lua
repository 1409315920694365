-- AMD MI200: one GCD of an MI250 is one device.
return require("gen.target.hip").target {
  name = "gfx90a",
  memory = 68698000000, -- 63.98 GiB, what the runtime reports of a GCD's 64 GB
}
