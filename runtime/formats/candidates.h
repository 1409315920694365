// The best logits of an output, from which the sampler draws. A device writes them.
#ifndef GETP_FORMATS_CANDIDATES_H
#define GETP_FORMATS_CANDIDATES_H

#include <stdint.h>

enum { CANDIDATES = 64 };

struct candidates {
  float total;             // the sum of exp((logit - logit[0]) / temperature) over the vocabulary
  float logit[CANDIDATES]; // descending; among equal logits, ids ascend
  int32_t id[CANDIDATES];  // -1, with a logit of -infinity, after the end of a small vocabulary
};

#endif
