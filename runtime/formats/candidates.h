// The best logits of an output, as a device leaves them for the sampler.
#ifndef GETP_FORMATS_CANDIDATES_H
#define GETP_FORMATS_CANDIDATES_H

#include <stdint.h>

enum { CANDIDATES = 64 };

struct candidates {
  float total;             // over the vocabulary, the sum of exp((logit - logit[0]) / temperature)
  float logit[CANDIDATES]; // descending; of equal ones the lowest id comes first
  int32_t id[CANDIDATES];  // -1, and a logit of -infinity: the vocabulary has no more
};

#endif
