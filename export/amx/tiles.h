// AMX tiles, and rows of bf16 numbers laid out as tiles take them.
#ifndef SIFTLINE_TILES_H
#define SIFTLINE_TILES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t bf16;

// A tile has 16 rows of 64 bytes: 32 bf16 of a product's left side, 16 pairs of bf16 of its right side, 16 float32 sums.
enum { TILE_ROWS = 16, TILE_COLUMNS = 32, TILE_BYTES = 64, TILE_SIZE = TILE_ROWS * TILE_COLUMNS };

// Rows of bf16 as tiles of 1 KB that lie together; those of the same 16 rows follow one another, `across` of them.
typedef struct {
  bf16 *tiles;
  size_t across;
} Rows;

static inline bf16 *row_of(Rows rows, size_t row) {
  return rows.tiles + row / TILE_ROWS * rows.across * TILE_SIZE + row % TILE_ROWS * TILE_COLUMNS;
}

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} TileShapes;

// Whoever computes with tiles on this thread shapes them first, and gives them back for others to shape.
static inline void shape_tiles(void) {
  static const TileShapes whole = {
      .palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&whole);
}

static inline void release_tiles(void) { _tile_release(); }

static inline size_t round_up(size_t number, size_t step) { return (number + step - 1) / step * step; }

// 32 float32 to bf16, rounded to the nearest, ties to even.
static inline __m512i narrow(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// 16 halves and 16 halves to 16 pairs: what stands in two rows, as one row of a product's right side.
static inline __m512i weave(__m512i halves) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}

// 16 rows of 16 pairs, `stride` bf16 apart, to a tile with rows and pairs exchanged; rows from `count` on are 0.
void transpose_pairs(const bf16 *from, size_t stride, size_t count, bf16 *tile);

#endif
