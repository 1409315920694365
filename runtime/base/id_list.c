#include "base/id_list.h"

#include <stdlib.h>

bool id_list_add(struct id_list *list, int32_t id) {
  if (list->n == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    int32_t *grown = realloc(list->id, capacity * sizeof *grown);
    if (!grown)
      return false;
    list->id = grown;
    list->capacity = capacity;
  }
  list->id[list->n++] = id;
  return true;
}
