// The work list of the expert matrices in a pass. A kernel writes it, after sorting the pairs of a
// row and one of its experts by expert.
#ifndef GETP_FORMATS_MOE_WORK_H
#define GETP_FORMATS_MOE_WORK_H

// `count` consecutive pairs of one expert, from index `first` of the sorted pairs on.
struct moe_item {
  int expert, first, count;
};

struct moe_work {
  int items;
  struct moe_item item[1]; // (items)
};

// The most items of a pass, where an item has at most `height` pairs. An expert has one pair per
// row at most, so up to `height` rows it has one item at most.
static inline int moe_items(int rows, int top_k, int n_experts, int height) {
  const int pairs = rows * top_k, experts = pairs < n_experts ? pairs : n_experts;
  return experts + (rows > height ? pairs / height : 0);
}

#endif
