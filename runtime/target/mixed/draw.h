// Draws of ids from logits by the rule of formats/draw.h. vocab_sums finds the tokens that are kept
// and adds up their weights by segments of the vocabulary; draw finds the segment, then the id.
#ifndef GETP_TARGET_MIXED_DRAW_H
#define GETP_TARGET_MIXED_DRAW_H

#include "formats/draw.h"
#include "target/mixed/machine.h"

// A token and its logit.
struct scored {
  float logit;
  int id;
};

// What vocab_sums leaves for draw.
template <int SEGMENTS> struct vocab_sums {
  scored first, last; // the first token of the order, and the last that top_p and top_k keep
  uint64_t segment[SEGMENTS];
};

// A key is greater the further in front a token is in the order. NaN comes after every number.
DEVICE uint64_t key_of(scored token) {
  const uint32_t ordered = token.logit == token.logit ? ordered_bits(token.logit) : 0;
  return (uint64_t)ordered << 32 | ~(uint32_t)token.id;
}

static const uint64_t NAN_KEY = UINT64_MAX; // greater than every key of a token; its logit is NaN

DEVICE scored scored_of(uint64_t key) {
  const uint32_t ordered = (uint32_t)(key >> 32);
  return {bits_as<float>(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered),
          (int)~(uint32_t)key};
}

DEVICE uint64_t to_weight(float p) {
  return (uint64_t)fmaxf(p * DRAW_UNIT, 0); // 0 for NaN
}

// The weights of one output's tokens.
struct weigher {
  float greatest, sharpness;
  scored last;    // the last kept token
  uint64_t least; // what a kept token weighs at least

  // The weight of any token.
  DEVICE_MEMBER uint64_t operator()(float logit) const {
    return to_weight(power_of_two((logit - greatest) * sharpness));
  }
  // The same, 0 for a token that is not kept.
  DEVICE_MEMBER uint64_t kept(float logit, int id) const {
    const uint64_t weight = (*this)(logit);
    const bool keep = logit > last.logit || (logit == last.logit && id <= last.id);
    return keep && weight >= least ? weight : 0;
  }
};

// The value combined over the lanes of a wave, returned to all of them.
template <class Combine> DEVICE uint64_t wave_combine(uint64_t value, Combine combine) {
#pragma unroll
  for (int step = WAVE / 2; step > 0; step /= 2)
    value = combine(value, (uint64_t)__shfl_xor((unsigned long long)value, step));
  return value;
}

// The same over the threads of a block. All of them must call it.
template <int THREADS, class Combine>
DEVICE uint64_t block_combine(uint64_t value, Combine combine) {
  __shared__ uint64_t of_wave[THREADS / WAVE];
  value = wave_combine(value, combine);
  __syncthreads();
  if (threadIdx.x % WAVE == 0)
    of_wave[threadIdx.x / WAVE] = value;
  __syncthreads();
  value = of_wave[0];
  for (int w = 1; w < THREADS / WAVE; w++)
    value = combine(value, of_wave[w]);
  return value;
}

// The sum of the values of all threads of the block after this one. All of them must call it.
template <int THREADS> DEVICE uint64_t sum_after(uint64_t value) {
  __shared__ uint64_t sum[THREADS];
  const int t = (int)threadIdx.x;
  uint64_t mine = value;
  for (int step = 1; step < THREADS; step *= 2) {
    __syncthreads();
    sum[t] = mine;
    __syncthreads();
    mine += t + step < THREADS ? sum[t + step] : 0;
  }
  return mine - value;
}

DEVICE uint64_t sum_of(uint64_t a, uint64_t b) {
  return a + b;
}

DEVICE uint64_t greater_of(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

DEVICE uint64_t lesser_of(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

// Finds, with one wave, the first of N weights at which their running sum exceeds `target`, which
// is below their total. Returns it and subtracts the weights before it from `target`. A lane has
// consecutive weights.
template <int N, class Weight> DEVICE int find_weight(Weight weight, uint64_t &target) {
  constexpr int EACH = (N + WAVE - 1) / WAVE;
  __shared__ int found;
  __shared__ uint64_t rest;
  const int lane = (int)threadIdx.x, begin = lane * EACH, end = begin + EACH < N ? begin + EACH : N;
  uint64_t mine = 0;
  for (int i = begin; i < end; i++)
    mine += weight(i);
  uint64_t through = mine; // the sum up to and with this lane's
  for (int step = 1; step < WAVE; step *= 2) {
    const uint64_t lower = __shfl_up((unsigned long long)through, step);
    through += lane >= step ? lower : 0;
  }
  if (through - mine <= target && target < through) {
    uint64_t left = target - (through - mine);
    int i = begin;
    for (; left >= weight(i); i++)
      left -= weight(i);
    found = i;
    rest = left;
  }
  __syncthreads();
  target = rest;
  return found;
}

#endif
