// Checks a tree's KV cache as kv.h lays it out: every element of every key and value has an offset
// of its own within the cache, and the same offset when its position recurs in a ring. Prints the
// bytes of the cache and the number of elements that belong to no key or value.
// tests/gen/test_kv.lua compiles it with LAYERS, a list of LAYER(offset of the layer, its
// positions).
#include "kv.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct vector {
  int slot, head, position;
};

#ifdef KV_REGION
enum { ELEMENT = 2, KEY_SIZE = KV_WIDTH, VALUE_SIZE = KV_DEPTH };

static size_t key_at(struct vector v, int d, int positions) {
  return KV_REGION(v.slot, v.head, positions) + (size_t)(KV_KEY(v.position, positions) + d);
}

static size_t value_at(struct vector v, int d, int positions) {
  return KV_REGION(v.slot, v.head, positions) + (size_t)KV_VALUE(v.position, d, positions);
}

// Attention loads 16 bytes at a time: 8 elements of a key, and the same element of the values of 8
// positions. Both are aligned to 16 bytes, and positions fill whole blocks.
static bool suits_attention(size_t layer, struct vector v, int positions) {
  const size_t key = layer + key_at(v, 0, positions), value = layer + value_at(v, 0, positions);
  return key % 8 == 0 && key_at(v, 7, positions) == key - layer + 7 &&
         value % 8 == (size_t)v.position % 8 && positions % KV_BLOCK == 0 && KV_BLOCK % 8 == 0 &&
         value_at(v, 1, positions) == value - layer + KV_BLOCK;
}
#else
enum { ELEMENT = sizeof(float), KEY_SIZE = KV_WIDTH, VALUE_SIZE = KV_WIDTH };

static size_t value_at(struct vector v, int d, int positions) {
  return KV_HALF(positions) + KV_VECTOR(v.slot, v.head, v.position, positions) + (size_t)d;
}

#ifdef KV_KEY
static size_t key_at(struct vector v, int d, int positions) {
  return KV_KEY(v.slot, v.head, v.position, positions) + (size_t)(d * KV_BLOCK);
}

// Attention finds a block of keys where the values of its positions would lie, and loads the same
// element of all its keys as a vector. Vectors of keys and values are aligned to 16 floats.
static bool suits_attention(size_t layer, struct vector v, int positions) {
  const int lane = v.position % KV_BLOCK;
  const size_t block = KV_VECTOR(v.slot, v.head, v.position - lane, positions);
  return key_at(v, 0, positions) == block + (size_t)lane && positions % KV_BLOCK == 0 &&
         (layer + block) % 16 == 0 && (layer + value_at(v, 0, positions)) % 16 == 0;
}
#else
static size_t key_at(struct vector v, int d, int positions) {
  return KV_VECTOR(v.slot, v.head, v.position, positions) + (size_t)d;
}

static bool suits_attention(size_t layer, struct vector v, int positions) {
  (void)layer, (void)v, (void)positions;
  return true;
}
#endif
#endif

static unsigned char claimed[KV_BYTES / ELEMENT];

static void refuse(const char *what, struct vector v, int d) {
  printf("%s: slot %d, head %d, position %d, element %d\n", what, v.slot, v.head, v.position, d);
  exit(1);
}

static void claim(size_t at, const char *what, struct vector v, int d) {
  if (at >= sizeof claimed || claimed[at])
    refuse(what, v, d);
  claimed[at] = 1;
}

static void claim_vector(size_t layer, struct vector v, int positions) {
  const struct vector again = {v.slot, v.head, v.position + 3 * positions};
  if (!suits_attention(layer, v, positions))
    refuse("alignment", v, 0);
  for (int d = 0; d < KEY_SIZE; d++) {
    claim(layer + key_at(v, d, positions), "key", v, d);
    if (key_at(again, d, positions) != key_at(v, d, positions))
      refuse("key of the next round", v, d);
  }
  for (int d = 0; d < VALUE_SIZE; d++) {
    claim(layer + value_at(v, d, positions), "value", v, d);
    if (value_at(again, d, positions) != value_at(v, d, positions))
      refuse("value of the next round", v, d);
  }
}

static void claim_layer(size_t layer, int positions) {
  struct vector v;
  for (v.slot = 0; v.slot < LIMIT_SLOTS; v.slot++)
    for (v.head = 0; v.head < MODEL_N_KV_HEADS; v.head++)
      for (v.position = 0; v.position < positions; v.position++)
        claim_vector(layer, v, positions);
}

int main(void) {
#define LAYER(layer, positions) claim_layer(layer, positions);
  LAYERS
  size_t left = 0;
  for (size_t i = 0; i < sizeof claimed; i++)
    left += !claimed[i];
  printf("%zu %zu\n", (size_t)KV_BYTES, left);
}
