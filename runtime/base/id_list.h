// A growing list of token ids.
#ifndef GETP_BASE_ID_LIST_H
#define GETP_BASE_ID_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A zeroed list is empty. Free with free(list.id).
struct id_list {
  int32_t *id;
  size_t n, capacity;
};

// Appends one id. Returns false when memory runs out; the list is then unchanged.
bool id_list_add(struct id_list *list, int32_t id);

#endif
