// A handed token stands for an id that the host does not know yet, because the pass before picks it
// greedily on the device. The host writes it as a negative number; the device looks the id up.
#ifndef GETP_FORMATS_HANDED_TOKEN_H
#define GETP_FORMATS_HANDED_TOKEN_H

#include <stdint.h>

// The token that stands for output `index` of the pass before, and, since the formula is its own
// inverse, the index that a handed token stands for.
#define HANDED_TOKEN(index) (-1 - (index))

// True for a handed token, false for an id.
#define IS_HANDED_TOKEN(token) ((token) < 0)

#endif
