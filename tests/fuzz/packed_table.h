// The weights of the packed files that the target `packed` reads: one of tests/models/abacus.
#ifndef GETP_TESTS_FUZZ_PACKED_TABLE_H
#define GETP_TESTS_FUZZ_PACKED_TABLE_H

#include "weights/packed.h"

enum { WEIGHT_NUMBERS = 192, WEIGHT_BYTES = 4 * WEIGHT_NUMBERS };

static const struct weight_spec WEIGHT = {
    .name = "model.norm.weight",
    .form = FORM_PLAIN,
    .stored = STORED_F32,
    .layout = LAYOUT_CONTIGUOUS,
    .offset = 0,
    .shape = {WEIGHT_NUMBERS},
};
static const struct weight_table TABLE = {
    .tree = "fuzz", .specs = &WEIGHT, .n = 1, .packed_bytes = WEIGHT_BYTES};

#endif
