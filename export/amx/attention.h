// Scaled dot-product attention inside one sequence, for one head (Vaswani et al., 2017, arXiv 1706.03762).
#ifndef SIFTLINE_ATTENTION_H
#define SIFTLINE_ATTENTION_H

#include "tiles.h"

typedef struct {
  const bf16 *queries, *keys, *values;  // rows of `width` numbers, a multiple of 32
  size_t query_stride, key_stride;      // from row to row; that of values is that of keys
  size_t asked, length, width;          // how many queries, and how many keys
  float scale;                          // of scores: usually 1 / sqrt(width)
} Head;

// Bytes that `attend` needs beside it, for up to `longest` keys.
size_t attention_memory(size_t longest, size_t width);

// Answers to the rows of `out` from `row` on, to its columns from `column` on.
//
// Behind the last key there must be memory to read, up to the next multiple of 16 rows; what it holds does not count.
void attend(const Head *head, Rows out, size_t row, size_t column, void *memory);

#endif
