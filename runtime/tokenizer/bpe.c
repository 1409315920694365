// A piece is a doubly linked list of symbols in an array. A symbol and the next one are a pair, and
// the pairs that can merge are in a binary heap, the lowest rank first. A merge changes the pairs
// beside it, but their old entries stay in the heap. They are recognised when they come up, because
// every symbol has the rank of its present pair.
#include "tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX // no neighbour, or no rank

struct bpe_symbol {
  int32_t id;
  uint32_t rank; // of the merge with next; NONE if there is none, or if this symbol was absorbed
  uint32_t prev, next;
};

// The smallest power of two that leaves the table at most three quarters full.
static uint32_t table_size(size_t n) {
  uint32_t size = 16;
  while (size / 4 * 3 < n)
    size *= 2;
  return size;
}

bool bpe_init(struct bpe *bpe, size_t n) {
  uint32_t entries = table_size(n);
  *bpe = (struct bpe){.mask = entries - 1};
  bpe->entry = malloc(entries * sizeof *bpe->entry);
  bpe->merged = malloc((n + 1) * sizeof *bpe->merged);
  if (!bpe->entry || !bpe->merged)
    return false;
  for (uint32_t i = 0; i < entries; i++)
    bpe->entry[i].left = -1;
  return true;
}

void bpe_free(struct bpe *bpe) {
  free(bpe->entry);
  free(bpe->merged);
  *bpe = (struct bpe){0};
}

// The entry of this pair, or the free one where it would be added. The multiplier is 2^64 divided
// by the golden ratio: the high half of the product depends on all bits of the pair (Knuth,
// TAOCP 6.4).
static struct bpe_entry *find_entry(const struct bpe *bpe, int32_t left, int32_t right) {
  uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  uint32_t i = (uint32_t)(pair * 0x9e3779b97f4a7c15 >> 32) & bpe->mask;
  while (bpe->entry[i].left >= 0 && (bpe->entry[i].left != left || bpe->entry[i].right != right))
    i = (i + 1) & bpe->mask;
  return &bpe->entry[i];
}

void bpe_add(struct bpe *bpe, int32_t left, int32_t right, int32_t merged) {
  *find_entry(bpe, left, right) = (struct bpe_entry){left, right, bpe->n};
  bpe->merged[bpe->n++] = merged;
}

static bool scratch_reserve(struct bpe_scratch *scratch, size_t bytes) {
  if (bytes <= scratch->capacity)
    return true;
  size_t capacity = bytes < 256 ? 256 : bytes;
  bpe_scratch_free(scratch);
  scratch->symbol = malloc(capacity * sizeof *scratch->symbol);
  scratch->heap = malloc(2 * capacity * sizeof *scratch->heap);
  if (!scratch->symbol || !scratch->heap)
    return false;
  scratch->capacity = capacity;
  return true;
}

void bpe_scratch_free(struct bpe_scratch *scratch) {
  free(scratch->symbol);
  free(scratch->heap);
  *scratch = (struct bpe_scratch){0};
}

static void heap_push(struct bpe_scratch *scratch, uint64_t entry) {
  uint64_t *heap = scratch->heap;
  size_t i = scratch->heap_n++;
  for (; i > 0 && entry < heap[(i - 1) / 2]; i = (i - 1) / 2)
    heap[i] = heap[(i - 1) / 2];
  heap[i] = entry;
}

static uint64_t heap_pop(struct bpe_scratch *scratch) {
  uint64_t *heap = scratch->heap;
  uint64_t least = heap[0], last = heap[--scratch->heap_n];
  size_t n = scratch->heap_n, i = 0;
  for (size_t child = 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && heap[child + 1] < heap[child])
      child++;
    if (last <= heap[child])
      break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = last;
  return least;
}

// Sets the rank of the symbol at `index` to that of its present pair. Pushes the pair to the heap
// if it can merge.
static void rank_pair(const struct bpe *bpe, struct bpe_scratch *scratch, uint32_t index) {
  struct bpe_symbol *symbol = &scratch->symbol[index];
  symbol->rank = NONE;
  if (symbol->next == NONE)
    return;
  const struct bpe_entry *entry = find_entry(bpe, symbol->id, scratch->symbol[symbol->next].id);
  if (entry->left < 0)
    return;
  symbol->rank = entry->rank;
  heap_push(scratch, (uint64_t)entry->rank << 32 | index);
}

// Makes the bytes of a piece the symbols.
static void link_bytes(const struct bpe *bpe, struct bpe_scratch *scratch, const char *piece,
                       uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++)
    scratch->symbol[i] = (struct bpe_symbol){
        .id = bpe->byte_id[(unsigned char)piece[i]],
        .prev = i == 0 ? NONE : i - 1,
        .next = i + 1 == bytes ? NONE : i + 1,
    };
  scratch->heap_n = 0;
  for (uint32_t i = 0; i < bytes; i++)
    rank_pair(bpe, scratch, i);
}

// The symbol at `index` absorbs the next one.
static void merge_pair(const struct bpe *bpe, struct bpe_scratch *scratch, uint32_t index) {
  struct bpe_symbol *left = &scratch->symbol[index];
  struct bpe_symbol *right = &scratch->symbol[left->next];
  left->id = bpe->merged[left->rank];
  left->next = right->next;
  right->rank = NONE;
  if (left->next != NONE)
    scratch->symbol[left->next].prev = index;
  rank_pair(bpe, scratch, index);
  if (left->prev != NONE)
    rank_pair(bpe, scratch, left->prev);
}

bool bpe_encode(const struct bpe *bpe, struct bpe_scratch *scratch, const char *piece, size_t bytes,
                struct id_list *list) {
  if (!scratch_reserve(scratch, bytes))
    return false;
  link_bytes(bpe, scratch, piece, (uint32_t)bytes);
  while (scratch->heap_n > 0) {
    uint64_t entry = heap_pop(scratch);
    uint32_t index = (uint32_t)entry;
    if (scratch->symbol[index].rank == entry >> 32)
      merge_pair(bpe, scratch, index);
  }
  for (uint32_t i = 0; i != NONE; i = scratch->symbol[i].next)
    if (!id_list_add(list, scratch->symbol[i].id))
      return false;
  return true;
}
