// Each formula names its source.
#include "reference/math.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

// A NaN stays a NaN.
static double clamp(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

// The pair whose wavelength makes `rotations` turns over the original context C:
// d ln(C / (2 pi rotations)) / ln theta, d = d_head / 2 (YaRN, arXiv 2309.00071; HF
// modeling_rope_utils.py, find_correction_dim).
static double yarn_pair(const struct rope_config *rope, double rotations, int d_head) {
  return d_head / 2.0 * log(rope->original_max_positions / (rotations * 2 * PI)) / log(rope->theta);
}

// inv_i = ramp_i / (factor theta^(2i/D)) + (1 - ramp_i) / theta^(2i/D),
// ramp_i = clamp((i - low) / (high - low), 0, 1); plain RoPE has ramp_i = 0
// (HF modeling_rope_utils.py, _compute_yarn_parameters).
void rope_inv_freq(float *out, const struct rope_config *rope, int d_head) {
  double low = 0, high = 0;
  if (rope->yarn) {
    low = yarn_pair(rope, rope->beta_fast, d_head);
    high = yarn_pair(rope, rope->beta_slow, d_head);
    low = fmax(rope->truncate ? floor(low) : low, 0);
    high = fmin(rope->truncate ? ceil(high) : high, d_head - 1);
    if (low == high)
      high += 0.001; // HF's guard against a division by zero
  }
  for (int i = 0; i < d_head / 2; i++) {
    double plain = pow(rope->theta, -2.0 * i / d_head);
    double ramp = rope->yarn ? clamp((i - low) / (high - low), 0, 1) : 0;
    out[i] = (float)(ramp * plain / rope->factor + (1 - ramp) * plain);
  }
}

// a = g sigmoid(alpha g) (l + 1), g = min(gate, limit), l = clamp(linear, -limit, limit)
// (HF modeling_gpt_oss.py, GptOssExperts; the gate has no lower clamp).
float swiglu(float gate, float linear, double limit, double alpha) {
  double g = gate > limit ? limit : gate, l = clamp(linear, -limit, limit);
  return (float)(g / (1 + exp(-alpha * g)) * (l + 1));
}

// True if fewer than top_k experts precede expert e: those with a larger logit, and those with an
// equal logit and a lower id. Like torch.topk, it takes NaN for the largest number: then all
// weights are NaN.
static bool chosen(const float *logits, int n, int e, int top_k) {
  int before = 0;
  for (int i = 0; i < n; i++)
    before += logits[i] > logits[e] || (logits[i] == logits[e] && i < e);
  return before < top_k;
}

// w_e = exp(r_e - max) / sum exp(r_j - max) over the top_k largest raw logits r
// (HF modeling_gpt_oss.py, GptOssTopKRouter).
void route(float *weights, const float *logits, int n, int top_k) {
  double max = logits[0], sum = 0;
  for (int i = 1; i < n; i++)
    max = fmax(max, logits[i]);
  for (int e = 0; e < n; e++)
    if (chosen(logits, n, e, top_k))
      sum += exp(logits[e] - max);
  for (int e = 0; e < n; e++)
    weights[e] = chosen(logits, n, e, top_k) ? (float)(exp(logits[e] - max) / sum) : 0;
}

// value = table[code] 2^(scale - 127); the low nibble of a byte comes first
// (OCP Microscaling Formats v1.0, FP4 E2M1 with an E8M0 scale, whose 255 is NaN; HF
// integrations/mxfp4.py).
void mxfp4_expand(float out[static MXFP4_GROUP], const uint8_t *codes, uint8_t scale) {
  static const float table[16] = {0,    0.5f,  1,  1.5f,  2,  3,  4,  6,
                                  -0.f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  float factor = scale == 255 ? NAN : ldexpf(1, scale - 127);
  for (int i = 0; i < MXFP4_GROUP_BYTES; i++) {
    out[2 * i] = table[codes[i] & 15] * factor;
    out[2 * i + 1] = table[codes[i] >> 4] * factor;
  }
}
