// A token of a pass that the host does not know yet: the id that the pass before it picked
// greedily. The host writes it as a number below every id, the device looks the id up.
#ifndef GETP_FORMATS_HANDED_TOKEN_H
#define GETP_FORMATS_HANDED_TOKEN_H

#include <stdint.h>

// Both directions: output `index` of the pass before <-> the number that stands for its id.
#define HANDED_TOKEN(index) (-1 - (index))

// True if a pass's token stands for an output of the pass before.
#define IS_HANDED_TOKEN(token) ((token) < 0)

#endif
