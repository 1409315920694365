// Panels: the order in which packed matrices of the cpu target lie in memory. The host packs them
// (weights/panels.c), matrix kernels multiply with them (target/cpu/matrix.h), and gen/panels.lua
// counts their bytes.
//
// A matrix W[N][K] has N features of K weights each. A panel holds all columns of 16 consecutive
// features, one for each lane of a vector. The panels of a matrix follow one another, and so do the
// matrices of a tensor. Each matrix is padded with zeros on its own to a multiple of 16 features.
//
// Weights lie in words of 4 bytes, 16 words side by side, one of each feature:
//
//   F32     the weight of a column
//   BF16    those of two columns: the even one in the low half, the odd one in the high half
//   MXFP4   the codes of eight columns: that of the first column in the lowest four bits
//
// Columns come in groups of 32, and groups in sections of 8, of which the last may have fewer. A
// kernel has sums of its own for each group and takes some groups of a section at a time. So that
// it reads memory in order, the first words of all groups of a section come before the second ones:
//
//   word[word of a group][group of the section][feature]
//
// MXFP4 has the scales of a section before its words: scale[group][feature], 16 bytes for a group,
// then zeros up to a multiple of 64 bytes. F32 and BF16 may have columns after the last whole
// group: word[word][feature]; an odd BF16 is padded to a word.
//
// Numbers, codes and scales are those of the checkpoint, so no value changes. A padding feature has
// the code 0 and the scale 127, which is 2^0.
#ifndef GETP_FORMATS_PANELS_H
#define GETP_FORMATS_PANELS_H

#include <stddef.h>

enum {
  PANEL = 16,        // features of a panel
  PANEL_GROUP = 32,  // columns of a group; they have one MXFP4 scale
  PANEL_SECTION = 8, // groups of a section
  PANEL_ALIGN = 64,  // panels begin at multiples of so many bytes
};

// Bytes of the scales of so many groups of a section, or of whole sections.
#define PANEL_SCALE_BYTES(groups)                                                                  \
  (((size_t)(groups)*PANEL + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN)

// Bytes of a panel of so many columns; for MXFP4 a multiple of 32 columns.
#define PANEL_BYTES_F32(columns) ((size_t)(columns)*PANEL * 4)
#define PANEL_BYTES_BF16(columns) (((size_t)(columns) + 1) / 2 * PANEL * 4)
#define PANEL_BYTES_MXFP4(columns)                                                                 \
  ((size_t)(columns) / 8 * PANEL * 4 + PANEL_SCALE_BYTES((columns) / PANEL_GROUP))

#endif
