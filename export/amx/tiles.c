#include "tiles.h"

static void exchange_halves(__m512i rows[16], __m512i found[16]) {
  for (int row = 0; row < 16; row += 2) {
    found[row] = _mm512_unpacklo_epi32(rows[row], rows[row + 1]);
    found[row + 1] = _mm512_unpackhi_epi32(rows[row], rows[row + 1]);
  }
  for (int row = 0; row < 16; row += 4) {
    rows[row] = _mm512_unpacklo_epi64(found[row], found[row + 2]);
    rows[row + 1] = _mm512_unpackhi_epi64(found[row], found[row + 2]);
    rows[row + 2] = _mm512_unpacklo_epi64(found[row + 1], found[row + 3]);
    rows[row + 3] = _mm512_unpackhi_epi64(found[row + 1], found[row + 3]);
  }
}

// Quarters of registers, first within eight rows and then across.
static void exchange_quarters(__m512i rows[16], __m512i found[16], bf16 *tile) {
  for (int row = 0; row < 4; row++) {
    found[row] = _mm512_shuffle_i32x4(rows[row], rows[row + 4], 0x88);
    found[row + 4] = _mm512_shuffle_i32x4(rows[row], rows[row + 4], 0xdd);
    found[row + 8] = _mm512_shuffle_i32x4(rows[row + 8], rows[row + 12], 0x88);
    found[row + 12] = _mm512_shuffle_i32x4(rows[row + 8], rows[row + 12], 0xdd);
  }
  for (int row = 0; row < 4; row++) {
    _mm512_storeu_si512(tile + 32 * row, _mm512_shuffle_i32x4(found[row], found[row + 8], 0x88));
    _mm512_storeu_si512(tile + 32 * (row + 4), _mm512_shuffle_i32x4(found[row + 4], found[row + 12], 0x88));
    _mm512_storeu_si512(tile + 32 * (row + 8), _mm512_shuffle_i32x4(found[row], found[row + 8], 0xdd));
    _mm512_storeu_si512(tile + 32 * (row + 12), _mm512_shuffle_i32x4(found[row + 4], found[row + 12], 0xdd));
  }
}

void transpose_pairs(const bf16 *from, size_t stride, size_t count, bf16 *tile) {
  __m512i rows[16], scratch[16];
  for (size_t row = 0; row < 16; row++)
    rows[row] = row < count ? _mm512_loadu_si512(from + row * stride) : _mm512_setzero_si512();
  exchange_halves(rows, scratch);
  exchange_quarters(rows, scratch, tile);
}
