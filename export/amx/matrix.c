#include "matrix.h"

#include <string.h>

size_t matrix_memory(size_t outputs, size_t inputs) { return outputs * inputs * sizeof(bf16) + outputs * sizeof(float); }

Matrix matrix_in(void *memory, const bf16 *weights, const float *bias, size_t outputs, size_t inputs) {
  Matrix matrix = {.inputs = inputs, .outputs = outputs, .panels = memory};
  matrix.bias = (float *)(matrix.panels + outputs * inputs);
  memcpy(matrix.bias, bias, outputs * sizeof(float));
  bf16 *tile = matrix.panels;
  for (size_t output = 0; output < outputs; output += PANEL)
    for (size_t input = 0; input < inputs; input += TILE_COLUMNS)
      for (size_t half = 0; half < PANEL; half += TILE_ROWS, tile += TILE_SIZE)
        transpose_pairs(weights + (output + half) * inputs + input, inputs, TILE_ROWS, tile);
  return matrix;
}
