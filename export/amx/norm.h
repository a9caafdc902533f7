// Layer normalisation (Ba, Kiros and Hinton, 2016, arXiv 1607.06450) in float32.
#ifndef SIFTLINE_NORM_H
#define SIFTLINE_NORM_H

#include "tiles.h"

typedef struct {
  const float *scale, *shift;  // [width]
  size_t width;                // a multiple of 32
  float epsilon;
} Norm;

// A row of `width` numbers to one of mean 0 and variance 1, scaled and shifted. It may be `out` itself.
void normalize(const Norm *norm, const float *row, float *out);

// The same, also as row `number` of `tiles`; what goes to `out` has `bias` added to it.
void normalize_to_tiles(const Norm *norm, const float *row, const float *bias, float *out, Rows tiles, size_t number);

#endif
