// The tensors of OpenAI's original layout by the names of HF's. The rows of q, k and v are rows of
// one tensor there. All others are the same bytes under another name, but for unpacked experts,
// which are flipped (checkpoint/tensor.h). A .bin has the same tensors.
#ifndef GETP_CHECKPOINT_ORIGINAL_H
#define GETP_CHECKPOINT_ORIGINAL_H

#include "checkpoint/config.h"
#include "checkpoint/tensor.h"

#include <stddef.h>

enum { ORIGINAL_NAME_BYTES = 96 };

// What the original layout has for a tensor of HF's.
struct original {
  char name[ORIGINAL_NAME_BYTES];
  bool is_part;         // it is these rows of the tensor of that name
  int64_t first, count; // rows
  bool flipped;
};

// Translates a name of HF's. False for a name that no gpt-oss has.
bool original_of(struct original *out, const char *name, const struct model_config *config);

// The name of HF's number `index`, of all tensors that a checkpoint of this config can have: some
// exist only in packed or only in unpacked ones. False after the last one.
bool original_list(char name[static ORIGINAL_NAME_BYTES], size_t index,
                   const struct model_config *config);

// Makes a tensor of HF's from the one that `original` names. False if that does not have as many
// rows as q, k and v together.
bool original_part(struct tensor *out, const struct tensor *whole, const struct original *original,
                   const struct model_config *config);

// The shape that the tensor of the original layout has if HF's has `shape`, of `rank` numbers.
void original_shape(int64_t *out, const int64_t *shape, int rank, const struct original *original,
                    const struct model_config *config);

#endif
