-- NVIDIA Hopper, as an H200 has it: for running and timing the HIP sources on a GPU at hand.
return require("gen.target.hip").target {
  name = "sm_90",
  memory = 150754820096, -- 143,771 MiB, as nvidia-smi reports of an H200
}
