#include "norm.h"

#include <math.h>

typedef struct {
  __m512 mean, factor;
} Moments;

static Moments moments_of(const Norm *norm, const float *row) {
  __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
  for (size_t i = 0; i < norm->width; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(row + i));
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / norm->width);
  for (size_t i = 0; i < norm->width; i += 16) {
    const __m512 difference = _mm512_sub_ps(_mm512_loadu_ps(row + i), mean);
    squares = _mm512_fmadd_ps(difference, difference, squares);
  }
  const float variance = _mm512_reduce_add_ps(squares) / norm->width;
  return (Moments){mean, _mm512_set1_ps(1.0f / sqrtf(variance + norm->epsilon))};
}

static inline __m512 normalized(const Norm *norm, Moments moments, const float *row, size_t i) {
  const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(row + i), moments.mean), moments.factor);
  return _mm512_fmadd_ps(unit, _mm512_loadu_ps(norm->scale + i), _mm512_loadu_ps(norm->shift + i));
}

void normalize(const Norm *norm, const float *row, float *out) {
  const Moments moments = moments_of(norm, row);
  for (size_t i = 0; i < norm->width; i += 16) _mm512_storeu_ps(out + i, normalized(norm, moments, row, i));
}

void normalize_to_tiles(const Norm *norm, const float *row, const float *bias, float *out, Rows tiles, size_t number) {
  const Moments moments = moments_of(norm, row);
  bf16 *tile = row_of(tiles, number);
  for (size_t i = 0; i < norm->width; i += TILE_COLUMNS, tile += TILE_SIZE) {
    const __m512 low = normalized(norm, moments, row, i), high = normalized(norm, moments, row, i + 16);
    _mm512_storeu_si512(tile, narrow(low, high));
    _mm512_storeu_ps(out + i, _mm512_add_ps(low, _mm512_loadu_ps(bias + i)));
    _mm512_storeu_ps(out + i + 16, _mm512_add_ps(high, _mm512_loadu_ps(bias + i + 16)));
  }
}
