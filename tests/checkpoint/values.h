// The values of a tensor of a random checkpoint. A value is a function of the seed, the tensor's
// name and the index in it, so it depends on neither threads nor shards. It is computed by integer
// operations and correctly rounded ones only, so it is the same on every machine.
#ifndef CHECKPOINT_VALUES_H
#define CHECKPOINT_VALUES_H

#include "checkpoint/dtype.h"
#include "checkpoint/safetensors.h"

#include <stddef.h>
#include <stdint.h>

enum { NAME_SIZE = 96 };

enum content { CONTENT_NORMAL, CONTENT_CODES, CONTENT_SCALES };

// A tensor to be written. `mean` and `std` are those of its values; codes and scales of one matrix
// have the same `std`, that of the matrix.
struct spec {
  char name[NAME_SIZE];
  enum content content;
  enum dtype dtype;
  int rank;
  uint64_t shape[TENSOR_MAX_RANK];
  double mean, std;
  uint64_t key; // of its random numbers
  uint64_t bytes;
  int shard;       // from 0
  uint64_t offset; // from the first tensor of its shard
};

// The key of a tensor's random numbers.
uint64_t name_key(uint64_t seed, const char *name);

// Writes bytes [first, first + n) of a tensor to `out`. Both are multiples of 8, except n at the
// end of the tensor.
void fill(uint8_t *out, const struct spec *spec, uint64_t first, size_t n);

#endif
