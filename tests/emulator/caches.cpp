#include "caches.h"

#include <immintrin.h>

// ---- slots ----

void Slots::open(double units) {
  capacity = units * WIDTH;
  used.assign(COUNT, 0);
  tag.assign(COUNT, 0);
  jump.assign(COUNT, 0);
}

// The index of a slot, which is emptied if another one had it before.
u32 Slots::slot(u64 number) {
  const u32 index = number % COUNT;
  if (tag[index] != number + 1) {
    tag[index] = number + 1;
    used[index] = 0;
    jump[index] = number + 1;
  }
  return index;
}

u64 Slots::book(u64 from, double units) {
  const u64 first = from / WIDTH;
  u64 number = first;
  for (u32 hops = 0; hops < COUNT / 2; ++hops) {
    const u32 index = slot(number);
    if (used[index] + units * 0.5 <= capacity)
      break;
    number = jump[index];
  }
  if (number != first)
    jump[first % COUNT] = number;
  const u32 index = number % COUNT;
  const double at = used[index];
  used[index] += units;
  if (used[index] > capacity) {
    const double rest = used[index] - capacity;
    used[index] = capacity;
    used[slot(number + 1)] += rest;
  }
  return std::max(from, number * WIDTH + (u64)(at * WIDTH / capacity));
}

// ---- L2 ----

L2::L2() {
  channels = (u32)parameters.l2_channels;
  sets = (u32)(parameters.l2_mb * 1048576 / LINE_BYTES / WAYS / channels);
  lines.resize((size_t)channels * sets * WAYS);
  ports.resize(channels);
  memory.resize(channels);
}

void L2::begin_launch() {
  for (Slots &each : ports)
    each.open(parameters.l2_bytes / 64);
  for (Slots &each : memory)
    each.open(parameters.hbm_gbs * parameters.hbm_efficiency / parameters.clock / 64 / channels);
  for (Line &each : lines)
    each.ready[0] = each.ready[1] = 0;
  requests = hits = writes = memory_reads = memory_writes = 0;
}

// 256 bytes go to one channel; the channel is a hash of the address.
u32 L2::channel_of(u32 line) const {
  u32 block = line >> 2;
  if (parameters.hash != 0) {
    block ^= block >> 5;
    block ^= block >> 10;
    block ^= block >> 20;
  }
  return block % channels;
}

L2::Line *L2::find(u32 channel, u32 line, u64 now, bool *hit) {
  const u32 tag = line >> 1, index = (tag & 1) | ((tag >> 1) / channels) << 1;
  const u32 set = (index ^ index >> 7 ^ index >> 14) % sets;
  Line *first = &lines[((size_t)channel * sets + set) * WAYS], *oldest = first;
  for (Line *each = first; each < first + WAYS; ++each) {
    if (each->tag == tag) {
      each->last_use = ++tick;
      *hit = true;
      return each;
    }
    if (each->last_use < oldest->last_use)
      oldest = each;
  }
  for (u32 half = 0; half < 2; ++half)
    if (oldest->dirty >> half & 1) {
      memory[channel].book(now, 1);
      ++memory_writes;
    }
  oldest->tag = tag;
  oldest->valid = oldest->dirty = 0;
  oldest->last_use = ++tick;
  *hit = false;
  return oldest;
}

u64 L2::read(u32 line, u64 from) {
  const u32 channel = channel_of(line), half = line & 1;
  const u64 at = ports[channel].book(from, 1);
  bool hit;
  Line *found = find(channel, line, at, &hit);
  ++requests;
  if (hit && (found->valid >> half & 1)) {
    ++hits;
    return std::max(at + (u64)parameters.l2_latency, found->ready[half]);
  }
  ++memory_reads;
  found->valid |= 1 << half;
  return found->ready[half] = memory[channel].book(at, 1) + (u64)parameters.hbm_latency;
}

u64 L2::write(u32 line, u64 from) {
  const u32 channel = channel_of(line), half = line & 1;
  const u64 at = ports[channel].book(from, 1);
  bool hit;
  Line *found = find(channel, line, at, &hit);
  ++writes;
  found->valid |= 1 << half;
  found->dirty |= 1 << half;
  return at;
}

// ---- L1 ----

L1::L1() {
  ways = (u32)(parameters.l1_kb * 1024 / 64 / SETS);
  tag.assign(SETS * ways, NO_TAG);
  ready.assign(SETS * ways, 0);
}

int L1::find(u32 line) const {
  const u32 first = line % SETS * ways;
  u32 way = 0;
#ifdef __AVX512F__
  const __m512i wanted = _mm512_set1_epi32((int)line);
  for (; way + 16 <= ways; way += 16) {
    const u32 equal = _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(&tag[first + way]), wanted);
    if (equal)
      return (int)(first + way) + __builtin_ctz(equal);
  }
#endif
  for (; way < ways; ++way)
    if (tag[first + way] == line)
      return (int)(first + way);
  return -1;
}

void L1::put(u32 line, u64 at) {
  const u32 set = line % SETS, index = set * ways + oldest[set];
  oldest[set] = (oldest[set] + 1) % ways;
  tag[index] = line;
  ready[index] = at;
}
