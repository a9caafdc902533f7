// The weights of a linear layer, laid out once as products read them.
#ifndef SIFTLINE_MATRIX_H
#define SIFTLINE_MATRIX_H

#include "tiles.h"

// Outputs are computed two tiles, a panel, at a time.
enum { PANEL = 32 };

// `panels`: for each 32 outputs, for each 32 inputs, two tiles of the right side of a product.
typedef struct {
  size_t inputs, outputs;
  bf16 *panels;
  float *bias;
} Matrix;

// Bytes that a matrix takes: both must be multiples of 32.
size_t matrix_memory(size_t outputs, size_t inputs);

// From weights [outputs, inputs] and bias [outputs], as torch has them, in `memory`, aligned to 64 bytes.
Matrix matrix_in(void *memory, const bf16 *weights, const float *bias, size_t outputs, size_t inputs);

static inline const bf16 *panel_of(const Matrix *matrix, size_t output, size_t input) {
  return matrix->panels + output * matrix->inputs + input * PANEL;
}

#endif
