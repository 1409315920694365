// The automaton of Aho and Corasick, which reads the text from its end. After each byte, its node
// is the longest beginning of the rest of the text that is the end of a token's text. Which tokens
// begin at this byte depends on that node alone, so the longest of them is stored in the node.
#include "tokenizer/specials.h"

#include <stdlib.h>

enum { ROOT = 0 }; // of the trie; no node's child, so that 0 is a free entry of the table

struct specials_node {
  uint32_t parent, child, sibling; // the first child, and the parent's next one; 0: there is none
  uint32_t shorter;                // the node of the longest shorter beginning
  int32_t id;                      // of the token with the text of this node, or -1
  int32_t longest;                 // of the longest token that begins here, or -1
  unsigned char byte;              // which leads here from the parent
};

// The smallest power of two that leaves the table at most half full.
static uint32_t table_size(size_t n) {
  uint32_t size = 16;
  while (size / 2 < n)
    size *= 2;
  return size;
}

bool specials_init(struct specials *specials, size_t text_bytes) {
  const uint32_t entries = table_size(text_bytes);
  *specials = (struct specials){.n = 1, .mask = entries - 1};
  specials->node = malloc((text_bytes + 1) * sizeof *specials->node);
  specials->entry = calloc(entries, sizeof *specials->entry);
  if (!specials->node || !specials->entry)
    return false;
  specials->node[ROOT] = (struct specials_node){.id = -1, .longest = -1};
  return true;
}

void specials_free(struct specials *specials) {
  free(specials->node);
  free(specials->entry);
  *specials = (struct specials){0};
}

// The entry of the child that a byte leads to, or the free one where it would be added. The
// multiplier is that of bpe.c.
static uint32_t *find_entry(const struct specials *specials, uint32_t parent, unsigned char byte) {
  const uint64_t key = (uint64_t)parent << 8 | byte;
  uint32_t i = (uint32_t)(key * 0x9e3779b97f4a7c15 >> 32) & specials->mask;
  for (; specials->entry[i]; i = (i + 1) & specials->mask) {
    const struct specials_node *node = &specials->node[specials->entry[i]];
    if (node->parent == parent && node->byte == byte)
      break;
  }
  return &specials->entry[i];
}

void specials_add(struct specials *specials, int32_t id, const char *text, size_t bytes) {
  uint32_t at = ROOT;
  for (size_t i = bytes; i-- > 0;) {
    const unsigned char byte = (unsigned char)text[i];
    uint32_t *entry = find_entry(specials, at, byte);
    if (!*entry) {
      *entry = specials->n++;
      specials->node[*entry] = (struct specials_node){
          .parent = at, .sibling = specials->node[at].child, .id = -1, .byte = byte};
      specials->node[at].child = *entry;
    }
    at = *entry;
  }
  specials->node[at].id = id;
}

// The node after a byte in front of the text of node `at`.
static uint32_t step(const struct specials *specials, uint32_t at, unsigned char byte) {
  for (;; at = specials->node[at].shorter) {
    const uint32_t next = *find_entry(specials, at, byte);
    if (next || at == ROOT)
      return next;
  }
}

// Visits the nodes by their distance from the root, because `shorter` is nearer to it.
bool specials_link(struct specials *specials) {
  uint32_t *queue = malloc(specials->n * sizeof *queue), n = 1;
  if (!queue)
    return false;
  queue[0] = ROOT;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t parent = queue[i];
    for (uint32_t at = specials->node[parent].child; at; at = specials->node[at].sibling) {
      struct specials_node *node = &specials->node[at];
      node->shorter =
          parent == ROOT ? ROOT : step(specials, specials->node[parent].shorter, node->byte);
      node->longest = node->id >= 0 ? node->id : specials->node[node->shorter].longest;
      queue[n++] = at;
    }
  }
  free(queue);
  return true;
}

int32_t specials_find(const struct specials *specials, const char *text, size_t bytes) {
  uint32_t at = ROOT;
  for (size_t i = bytes; i-- > 0;) {
    at = *find_entry(specials, at, (unsigned char)text[i]);
    if (!at)
      return -1;
  }
  return specials->node[at].id;
}

static bool list_add(struct special_list *list, struct special_at at) {
  if (list->n == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 64;
    struct special_at *grown = realloc(list->at, capacity * sizeof *grown);
    if (!grown)
      return false;
    list->at = grown;
    list->capacity = capacity;
  }
  list->at[list->n++] = at;
  return true;
}

bool specials_locate(const struct specials *specials, const char *text, size_t bytes,
                     struct special_list *list) {
  uint32_t at = ROOT;
  for (size_t i = bytes; i-- > 0;) {
    at = step(specials, at, (unsigned char)text[i]);
    const int32_t id = specials->node[at].longest;
    if (id >= 0 && !list_add(list, (struct special_at){(uint32_t)i, id}))
      return false;
  }
  return true;
}
