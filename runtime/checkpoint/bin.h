// Reads the .bin that the exporter of the getp contest writes: a header of 15 numbers, then 16
// arrays without names, in FP32 or BF16. An array holds one tensor of all layers, one after the
// other. It has no magic, no dtype and no length: the size of the file decides all three.
#ifndef GETP_CHECKPOINT_BIN_H
#define GETP_CHECKPOINT_BIN_H

#include "checkpoint/config.h"
#include "checkpoint/tensor.h"

// True if the first n bytes of a file can be those of a .bin.
bool bin_is(const uint8_t *start, size_t n);

// Reads the config that the header of a .bin states. What no header holds is as in every published
// gpt-oss: layers in turn sliding and full, rms_norm_eps 1e-5, swiglu_alpha 1.702, YaRN with betas
// 32 and 1 and without truncation, and unpacked experts. The header's seq_len is a choice of the
// exporter and no property of the model.
// Refuses the header of the exporter's first version, a number out of range, an integer where the
// exporter should have written a float, and a size of the file that is that of neither dtype.
bool bin_config(struct model_config *config, const char *path, struct error *err);

struct bin;

// Maps a .bin. `path` must outlive *out, which the caller closes. Fails as bin_config does.
bool bin_open(struct bin **out, const char *path, struct error *err);
void bin_close(struct bin *bin);

// The tensor of that name in OpenAI's original layout, or NULL. The experts have the names
// block.N.mlp.mlp1_weight and mlp2_weight, and are (experts, features, columns).
const struct tensor *bin_find(const struct bin *bin, const char *name);

// Array `index` of the file, by the name of its tensor without a layer, with the shape of all
// layers; NULL after the last one.
const struct tensor *bin_at(const struct bin *bin, size_t index);

#endif
