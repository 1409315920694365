// Byte-pair encoding (BPE): the bytes of a piece of text are merged pair by pair, in the order of
// the ranks of the merges.
#ifndef GETP_TOKENIZER_BPE_H
#define GETP_TOKENIZER_BPE_H

#include "base/id_list.h"

// An entry of the hash table of merges.
struct bpe_entry {
  int32_t left, right; // ids; left is -1 in a free entry
  uint32_t rank;
};

struct bpe {
  int32_t byte_id[256];    // the token of each single byte
  struct bpe_entry *entry; // (mask + 1), open addressing over (left, right)
  uint32_t mask;
  int32_t *merged; // (n), by rank: the token that left and right become
  uint32_t n;
};

// Working memory of bpe_encode. Starts zeroed and grows to the longest piece.
struct bpe_scratch {
  struct bpe_symbol *symbol; // (capacity)
  uint64_t *heap; // (2 * capacity), rank in the high half, index of the symbol in the low
  size_t heap_n;
  size_t capacity;
};

// Allocates a table for n merges. Returns false when memory runs out; the caller must call bpe_free
// even then. The caller fills byte_id.
bool bpe_init(struct bpe *bpe, size_t n);
void bpe_free(struct bpe *bpe);

// Adds the merge with the next rank. If a pair is added twice, the later merge is used, as in HF
// tokenizers.
void bpe_add(struct bpe *bpe, int32_t left, int32_t right, int32_t merged);

// Appends the tokens of a piece of 1 to INT32_MAX bytes. As long as any two neighbours can merge,
// the pair with the lowest rank merges, and of equal pairs the leftmost. O(n log n). Returns false
// when memory runs out.
bool bpe_encode(const struct bpe *bpe, struct bpe_scratch *scratch, const char *piece, size_t bytes,
                struct id_list *list);
void bpe_scratch_free(struct bpe_scratch *scratch);

#endif
