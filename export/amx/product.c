#include "product.h"

#include "gelu.h"

// Two tiles of rows by two of outputs: four of sums, with each tile that is loaded used twice.
enum { BLOCK = 32 };

// What is left to do for a block whose sums are there: it is done a few rows at a time between the products of the next
// one, which leave the vector units idle.
typedef struct {
  const float *sums, *bias;
  bf16 *out;
  size_t stride, lower;  // from a row to the next, and to the 17th
  size_t rows;
} Rest;

#define INLINE static inline __attribute__((always_inline))

INLINE void finish_rows(const Rest *rest, size_t from, size_t to, int through_gelu) {
  const __m512 low = _mm512_loadu_ps(rest->bias), high = _mm512_loadu_ps(rest->bias + 16);
  const size_t end = to < rest->rows ? to : rest->rows;
  for (size_t row = from; row < end; row++) {
    __m512 x = _mm512_add_ps(_mm512_load_ps(rest->sums + row * BLOCK), low);
    __m512 y = _mm512_add_ps(_mm512_load_ps(rest->sums + row * BLOCK + 16), high);
    if (through_gelu) x = gelu(x), y = gelu(y);
    _mm512_storeu_si512(rest->out + row / TILE_ROWS * rest->lower + row % TILE_ROWS * rest->stride, narrow(x, y));
  }
}

// The next panel, brought nearer while this one is in use: `lines` of 64 bytes for each step of the way.
typedef struct {
  const char *next;
  size_t lines;
} Ahead;

INLINE void fetch(Ahead *ahead) {
  for (size_t line = 0; line < ahead->lines; line++, ahead->next += 64) _mm_prefetch(ahead->next, _MM_HINT_T1);
}

// Sums in tiles 0 and 1 for 16 rows, with `both` in 2 and 3 for the 16 below. The panel is to stay in the first cache for
// the next rows; these are not needed again before the next panel, so they are loaded past it.
INLINE void multiply(const bf16 *upper, size_t below, int both, const bf16 *panel, size_t steps, Ahead ahead,
                     const Rest *rest, size_t each, int through_gelu) {
  for (size_t step = 0; step < steps; step++, upper += TILE_SIZE, panel += 2 * TILE_SIZE) {
    _tile_stream_loadd(4, upper, TILE_BYTES);
    _tile_loadd(6, panel, TILE_BYTES);
    _tile_loadd(7, panel + TILE_SIZE, TILE_BYTES);
    if (both) _tile_stream_loadd(5, upper + below, TILE_BYTES);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (both) _tile_dpbf16ps(2, 5, 6);
    if (both) _tile_dpbf16ps(3, 5, 7);
    fetch(&ahead);
    if (rest) finish_rows(rest, step * each, (step + 1) * each, through_gelu);
  }
}

// The part that one of so many blocks brings. A single one would only get in its own way.
static Ahead ahead_of(const bf16 *next_panel, size_t steps, size_t block, size_t blocks) {
  const size_t lines = (2 * TILE_SIZE * sizeof(bf16) / 64 + blocks - 1) / blocks;
  return (Ahead){(const char *)next_panel + block * steps * lines * 64, blocks > 1 ? lines : 0};
}

INLINE void project_to(Rows from_rows, size_t rows, const Matrix *matrix, size_t from, size_t to, Rest out,
                       size_t across, int through_gelu) {
  float sums[2][BLOCK * BLOCK] __attribute__((aligned(64)));
  const size_t steps = matrix->inputs / TILE_COLUMNS, each = (BLOCK - 1 + steps) / steps;
  const size_t below = from_rows.across * TILE_SIZE, blocks = round_up(rows, BLOCK) / BLOCK;
  Rest rest = {.sums = sums[0], .bias = matrix->bias};
  int turn = 0;
  for (size_t output = from; output < to; output += PANEL) {
    const bf16 *panel = panel_of(matrix, output, 0);
    for (size_t row = 0; row < rows; row += BLOCK, turn ^= 1) {
      const bf16 *upper = row_of(from_rows, row);
      const Ahead ahead = ahead_of(panel_of(matrix, output + PANEL, 0), steps, row / BLOCK, blocks);
      float *found = sums[turn];
      _tile_zero(0);
      _tile_zero(1);
      if (rows - row > TILE_ROWS) {
        _tile_zero(2);
        _tile_zero(3);
        multiply(upper, below, 1, panel, steps, ahead, &rest, each, through_gelu);
        _tile_stored(2, found + TILE_ROWS * BLOCK, BLOCK * sizeof(float));
        _tile_stored(3, found + TILE_ROWS * BLOCK + 16, BLOCK * sizeof(float));
      } else {
        multiply(upper, below, 0, panel, steps, ahead, &rest, each, through_gelu);
      }
      _tile_stored(0, found, BLOCK * sizeof(float));
      _tile_stored(1, found + 16, BLOCK * sizeof(float));
      rest = (Rest){.sums = found,
                    .bias = matrix->bias + output,
                    .out = out.out + row / TILE_ROWS * out.lower + (output - from) / PANEL * across,
                    .stride = out.stride,
                    .lower = out.lower,
                    .rows = rows - row < BLOCK ? rows - row : BLOCK};
    }
  }
  finish_rows(&rest, 0, BLOCK, through_gelu);
}

void project(Rows from_rows, size_t rows, const Matrix *matrix, size_t from, size_t to, bf16 *out, size_t stride) {
  const Rest where = {.out = out, .stride = stride, .lower = stride * TILE_ROWS};
  project_to(from_rows, rows, matrix, from, to, where, PANEL, 0);
}

void project_gelu(Rows from_rows, size_t rows, const Matrix *matrix, size_t from, size_t to, Rows out) {
  const Rest where = {.out = out.tiles, .stride = TILE_COLUMNS, .lower = out.across * TILE_SIZE};
  project_to(from_rows, rows, matrix, from, to, where, TILE_SIZE, 1);
}

INLINE void load_sums(const float *sums, size_t stride, int both) {
  _tile_loadd(0, sums, stride * sizeof(float));
  _tile_loadd(1, sums + 16, stride * sizeof(float));
  if (both) _tile_loadd(2, sums + TILE_ROWS * stride, stride * sizeof(float));
  if (both) _tile_loadd(3, sums + TILE_ROWS * stride + 16, stride * sizeof(float));
}

INLINE void store_sums(float *sums, size_t stride, int both) {
  _tile_stored(0, sums, stride * sizeof(float));
  _tile_stored(1, sums + 16, stride * sizeof(float));
  if (both) _tile_stored(2, sums + TILE_ROWS * stride, stride * sizeof(float));
  if (both) _tile_stored(3, sums + TILE_ROWS * stride + 16, stride * sizeof(float));
}

void add_product(Rows from_rows, size_t rows, const Matrix *matrix, size_t first, float *out) {
  const size_t steps = from_rows.across, below = steps * TILE_SIZE, stride = matrix->outputs;
  const size_t blocks = round_up(rows, BLOCK) / BLOCK;
  for (size_t output = 0; output < matrix->outputs; output += PANEL) {
    const bf16 *panel = panel_of(matrix, output, first);
    for (size_t row = 0; row < rows; row += BLOCK) {
      const bf16 *upper = row_of(from_rows, row);
      const Ahead ahead = ahead_of(panel_of(matrix, output + PANEL, first), steps, row / BLOCK, blocks);
      float *sums = out + row * stride + output;
      if (rows - row > TILE_ROWS) {
        load_sums(sums, stride, 1);
        multiply(upper, below, 1, panel, steps, ahead, NULL, 0, 0);
        store_sums(sums, stride, 1);
      } else {
        load_sums(sums, stride, 0);
        multiply(upper, below, 0, panel, steps, ahead, NULL, 0, 0);
        store_sums(sums, stride, 0);
      }
    }
  }
}
