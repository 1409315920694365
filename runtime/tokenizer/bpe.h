// Byte-pair encoding of one piece of text: single bytes, merged pair by pair in the order of rank.
#ifndef GETP_TOKENIZER_BPE_H
#define GETP_TOKENIZER_BPE_H

#include "base/id_list.h"

struct bpe_slot {
  int32_t left, right; // ids; left is -1 in a free slot
  uint32_t rank;
};

struct bpe {
  int32_t byte_id[256];  // the token of each single byte
  struct bpe_slot *slot; // (mask + 1), open addressing over (left, right)
  uint32_t mask;
  int32_t *merged; // (n), by rank: the token that left and right make
  uint32_t n;
};

// What one call of tokenizer_encode works with, grown to its longest piece. Zeroed is empty.
struct bpe_scratch {
  struct bpe_symbol *symbol; // (capacity)
  uint64_t *heap;            // (2 * capacity), rank in the high half, position in the low
  size_t heap_n;
  size_t capacity;
};

// Makes room for n merges. False when memory runs out; bpe_free is due either way. The caller fills
// byte_id.
bool bpe_init(struct bpe *bpe, size_t n);
void bpe_free(struct bpe *bpe);

// Adds the merge of the next rank. Of two merges of one pair the later counts, as in HF tokenizers.
void bpe_add(struct bpe *bpe, int32_t left, int32_t right, int32_t merged);

// Appends the tokens of one piece of 1 to INT32_MAX bytes: as long as any two neighbours merge, the
// pair of lowest rank does, the leftmost of equals. O(n log n). False when memory runs out.
bool bpe_encode(const struct bpe *bpe, struct bpe_scratch *scratch, const char *piece, size_t bytes,
                struct id_list *list);
void bpe_scratch_free(struct bpe_scratch *scratch);

#endif
