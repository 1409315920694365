// The work of the expert matrices in a pass: who needs which expert, made on the device.
#ifndef GETP_FORMATS_MOE_WORK_H
#define GETP_FORMATS_MOE_WORK_H

// `count` pairs of a row and an expert, from `first` on in the list sorted by expert.
struct moe_item {
  int expert, first, count;
};

struct moe_work {
  int items;
  struct moe_item item[1]; // items of them
};

// The most items that the pairs of a pass can make, each of at most `height` of them; an expert has
// at most one with each row.
constexpr int moe_items(int rows, int top, int experts, int height) {
  return (rows * top < experts ? rows * top : experts) + (rows > height ? rows * top / height : 0);
}

#endif
