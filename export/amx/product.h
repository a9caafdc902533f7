// Products of rows with the weights of a linear layer: bf16 numbers, float32 sums.
//
// What a row becomes does not depend on the rows beside it: sums are taken in the same order wherever it stands.
#ifndef SIFTLINE_PRODUCT_H
#define SIFTLINE_PRODUCT_H

#include "matrix.h"

// The outputs `from` to `to` of `rows` rows, with the bias, to `out`, whose rows are `stride` bf16 apart.
void project(Rows from_rows, size_t rows, const Matrix *matrix, size_t from, size_t to, bf16 *out, size_t stride);

// The same through GELU, to tiles.
void project_gelu(Rows from_rows, size_t rows, const Matrix *matrix, size_t from, size_t to, Rows out);

// The products of the inputs from `first` on, as many as `from_rows` has columns, added to float32 [rows, outputs]. The
// bias is left out. `out` must have room for rows up to a multiple of 32.
void add_product(Rows from_rows, size_t rows, const Matrix *matrix, size_t first, float *out);

#endif
