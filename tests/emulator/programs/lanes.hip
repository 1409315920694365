// Instructions that move values between the lanes of a wave. What each lane should get is written
// as a formula.
#include "check.h"

enum { LANES = 64, RESULTS = 19 };

#define DPP(old, control, rows, clears)                                                            \
  __builtin_amdgcn_update_dpp(old, v, control, rows, 0xf, clears)

__global__ void move(const int *in, int *out) {
  const int lane = threadIdx.x, v = in[lane];
  int *o = out + lane;
  o[0 * LANES] = __shfl_xor(v, 33);
  o[1 * LANES] = __shfl_up(v, 3);
  o[2 * LANES] = __shfl_down(v, 5);
  o[3 * LANES] = __shfl(v, (lane * 7) & 63);
  o[4 * LANES] = __shfl_up(v, 2, 8);
  o[5 * LANES] = DPP(0, 0x111, 0xf, true);            // row_shr:1
  o[6 * LANES] = DPP(-1, 0x104, 0xf, false);          // row_shl:4
  o[7 * LANES] = DPP(1000 + lane, 0x142, 0xa, false); // row_bcast:15 into rows 1 and 3
  o[8 * LANES] = DPP(2000 + lane, 0x143, 0xc, false); // row_bcast:31 into rows 2 and 3
  o[9 * LANES] = DPP(0, 0x1b, 0xf, true);             // quad_perm:[3,2,1,0]
  o[10 * LANES] = DPP(0, 0x140, 0xf, true);           // row_mirror
  o[11 * LANES] = DPP(0, 0x141, 0xf, true);           // row_half_mirror
  o[12 * LANES] = DPP(0, 0x124, 0xf, true);           // row_ror:4
  o[13 * LANES] = __builtin_amdgcn_ds_swizzle(v, 0x041f);
  o[14 * LANES] = __builtin_amdgcn_ds_swizzle(v, 0x80b1);
  o[15 * LANES] = __builtin_amdgcn_readlane(v, 37) + __builtin_amdgcn_readfirstlane(v);
  o[16 * LANES] = __popcll(__ballot(v & 4) & ((1ull << lane) - 1));
  o[17 * LANES] = __builtin_amdgcn_ds_permute(((lane + 5) & 63) * 4, v);
  o[18 * LANES] = DPP(0, 0x138, 0xf, true); // wave_shr:1
}

static int wanted(Array<int> &v, int result, int lane) {
  const int row = lane & ~15, in_row = lane & 15;
  switch (result) {
  case 0:
    return v[lane ^ 33];
  case 1:
    return v[lane >= 3 ? lane - 3 : lane];
  case 2:
    return v[lane + 5 < LANES ? lane + 5 : lane];
  case 3:
    return v[lane * 7 & 63];
  case 4:
    return v[lane % 8 >= 2 ? lane - 2 : lane];
  case 5:
    return in_row > 0 ? v[lane - 1] : 0;
  case 6:
    return in_row < 12 ? v[lane + 4] : -1;
  case 7:
    return row == 16 || row == 48 ? v[row - 1] : 1000 + lane;
  case 8:
    return row >= 32 ? v[31] : 2000 + lane;
  case 9:
    return v[(lane & ~3) + 3 - (lane & 3)];
  case 10:
    return v[row + 15 - in_row];
  case 11:
    return v[(lane & ~7) + 7 - (lane & 7)];
  case 12:
    return v[row + (in_row + 12) % 16];
  case 13:
    return v[lane ^ 1];
  case 14:
    return v[lane ^ 1];
  case 15:
    return v[37] + v[0];
  case 16: {
    int before = 0;
    for (int i = 0; i < lane; i++)
      before += (v[i] & 4) != 0;
    return before;
  }
  case 17:
    return v[(lane + 59) % LANES];
  default:
    return lane > 0 ? v[lane - 1] : 0;
  }
}

int main() {
  static const char *const NAMES[RESULTS] = {
      "shfl_xor",   "shfl_up",         "shfl_down",    "shfl",           "shfl_up of 8",
      "row_shr",    "row_shl",         "row_bcast:15", "row_bcast:31",   "quad_perm",
      "row_mirror", "row_half_mirror", "row_ror",      "swizzle by xor", "swizzle quads",
      "readlane",   "ballot",          "permute",      "wave_shr"};
  Array<int> in(LANES), out(LANES * RESULTS);
  for (int i = 0; i < LANES; i++)
    in[i] = (int)(random_bits() % 2001) - 1000;
  in.send();
  move<<<1, LANES>>>(in.device, out.device);
  out.fetch();
  for (int r = 0; r < RESULTS; r++)
    compare(NAMES[r], out, (size_t)r * LANES, LANES, 0,
            [&](size_t lane) { return wanted(in, r, (int)lane); });
  return failures != 0;
}
