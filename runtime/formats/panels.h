// Panels: the order in which packed matrices of the cpu target lie in memory. The host packs them
// (weights/panels.c), matrix kernels multiply with them (target/cpu/matrix.h), and gen/panels.lua
// counts their bytes.
//
// A matrix W[N][K] has N features of K weights each. A panel holds all columns of 16 consecutive
// features, one for each lane of a vector. The panels of a matrix follow one another, and so do the
// matrices of a tensor. Each matrix is padded with zeros on its own to a multiple of 16 features.
//
//   F32     weight[column][feature]      K x 16 floats
//   BF16    pair[column / 2][feature]    16 words of 4 bytes for two columns: the even one in the
//                                        low half, the odd one in the high half; an odd K is padded
//   MXFP4   word[column / 8][feature]    16 words of 4 bytes for eight columns: the code of column
//                                        8w + c is in bits 4c to 4c + 3 of word w
//           scale[column / 32][feature]  16 bytes for 32 columns, after all words of the panel,
//                                        then zeros up to a multiple of 64 bytes
//
// Numbers, codes and scales are those of the checkpoint, so no value changes. A padding feature has
// the code 0 and the scale 127, which is 2^0.
#ifndef GETP_FORMATS_PANELS_H
#define GETP_FORMATS_PANELS_H

#include <stddef.h>

enum {
  PANEL = 16,       // features of a panel
  PANEL_GROUP = 32, // columns that have one MXFP4 scale
  PANEL_ALIGN = 64, // panels begin at multiples of so many bytes
};

// Bytes of a panel of so many columns; for MXFP4 a multiple of 32 columns.
#define PANEL_BYTES_F32(columns) ((size_t)(columns)*PANEL * 4)
#define PANEL_BYTES_BF16(columns) (((size_t)(columns) + 1) / 2 * PANEL * 4)
#define PANEL_WORD_BYTES(columns) ((size_t)(columns) / 8 * PANEL * 4)
#define PANEL_BYTES_MXFP4(columns)                                                                 \
  (PANEL_WORD_BYTES(columns) +                                                                     \
   ((size_t)(columns) / PANEL_GROUP * PANEL + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN)

#endif
