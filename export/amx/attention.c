#include "attention.h"

// Scores are computed with keys as rows and queries as columns. So the lanes of a vector are 16 queries: no sum across
// lanes is needed, keys are a tile as they lie there, and a key too many is not looked at.
enum { QUERIES = 16 };

#define INLINE static inline __attribute__((always_inline))

typedef struct {
  float *scores[2];  // [keys, QUERIES], of the queries in hand and of the next ones
  bf16 *weights;     // pairs of keys: [keys / 2, QUERIES, 2]
  bf16 *values;      // tiles [width, keys]
  bf16 *queries;     // tiles of pairs [width / 2, QUERIES, 2]
  float *sums;       // [width, QUERIES]
} Memory;

size_t attention_memory(size_t longest, size_t width) {
  const size_t keys = round_up(longest, TILE_COLUMNS);
  return keys * QUERIES * (2 * sizeof(float) + sizeof(bf16)) + keys * width * sizeof(bf16) +
         QUERIES * width * (sizeof(bf16) + sizeof(float));
}

static Memory divided(void *memory, size_t keys, size_t width) {
  Memory parts;
  parts.scores[0] = memory;
  parts.scores[1] = parts.scores[0] + keys * QUERIES;
  parts.sums = parts.scores[1] + keys * QUERIES;
  parts.weights = (bf16 *)(parts.sums + QUERIES * width);
  parts.values = parts.weights + keys * QUERIES;
  parts.queries = parts.values + keys * width;
  return parts;
}

static inline __m256i half_row(const bf16 *values, int is_there) {
  return is_there ? _mm256_loadu_si256((const void *)values) : _mm256_setzero_si256();
}

// 16 numbers of each of 32 values, the last `count` of which are not there, to a tile of 16 rows.
static void transpose_values(const bf16 *values, size_t stride, size_t count, bf16 *tile) {
  bf16 pairs[TILE_SIZE] __attribute__((aligned(64)));
  for (size_t pair = 0; pair < TILE_ROWS; pair++) {
    const __m256i even = half_row(values + 2 * pair * stride, 2 * pair < count);
    const __m256i odd = half_row(values + (2 * pair + 1) * stride, 2 * pair + 1 < count);
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1);
    _mm512_store_si512(pairs + pair * TILE_COLUMNS, weave(both));
  }
  transpose_pairs(pairs, TILE_COLUMNS, TILE_ROWS, tile);
}

INLINE void prepare_values(const Head *head, size_t width, bf16 *tile) {
  for (size_t key = 0; key < head->length; key += TILE_COLUMNS)
    for (size_t i = 0; i < width; i += TILE_ROWS, tile += TILE_SIZE)
      transpose_values(head->values + key * head->key_stride + i, head->key_stride, head->length - key, tile);
}

INLINE void score(const Head *head, size_t width, size_t query, bf16 *queries, float *scores) {
  const bf16 *first = head->queries + query * head->query_stride;
  for (size_t i = 0; i < width; i += TILE_COLUMNS)
    transpose_pairs(first + i, head->query_stride, head->asked - query, queries + i * QUERIES);
  for (size_t key = 0; key < head->length; key += TILE_ROWS) {
    _tile_zero(0);
    for (size_t i = 0; i < width; i += TILE_COLUMNS) {
      _tile_loadd(4, head->keys + key * head->key_stride + i, head->key_stride * sizeof(bf16));
      _tile_loadd(6, queries + i * QUERIES, TILE_BYTES);
      _tile_dpbf16ps(0, 4, 6);
    }
    _tile_stored(0, scores + key * QUERIES, TILE_BYTES);
  }
}

// 2 to the power of numbers up to 0, to 8e-5 of it, where rounding to bf16 may take 4e-3: whole powers by the exponent,
// the rest by a polynomial.
static inline __m512 power_of_two(__m512 exponent) {
  const __m512 rest = _mm512_reduce_ps(exponent, _MM_FROUND_TO_NEG_INF);
  __m512 sum = _mm512_set1_ps(7.802449022e-2f);
  sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(2.260672016e-1f));
  sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(6.958335246e-1f));
  sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(9.999252193e-1f));
  return _mm512_scalef_ps(sum, exponent);
}

typedef struct {
  __m512 factor, shift, sum;
} Softmax;

INLINE __m512 weigh(Softmax *softmax, const float *scores) {
  const __m512 exponent = _mm512_fmadd_ps(_mm512_load_ps(scores), softmax->factor, softmax->shift);
  const __m512 weight = power_of_two(exponent);
  softmax->sum = _mm512_add_ps(softmax->sum, weight);
  return weight;
}

static inline __m512 larger(__m512 most, const float *scores) { return _mm512_max_ps(most, _mm512_load_ps(scores)); }

// Four chains, so that one comparison need not wait for the one before.
static __m512 largest(const float *scores, size_t length) {
  enum { CHAINS = 4 };
  __m512 most[CHAINS];
  for (size_t chain = 0; chain < CHAINS; chain++) most[chain] = _mm512_load_ps(scores);
  size_t key = 0;
  for (; key + CHAINS <= length; key += CHAINS)
    for (size_t chain = 0; chain < CHAINS; chain++)
      most[chain] = larger(most[chain], scores + (key + chain) * QUERIES);
  for (; key < length; key++) most[0] = larger(most[0], scores + key * QUERIES);
  return _mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3]));
}

// Weights, not yet divided by their sums, which are returned.
INLINE __m512 softmax_of(const float *scores, size_t length, float of_scores, bf16 *weights) {
  const float scale = of_scores * 1.4426950408889634f;  // 1 / ln 2
  const __m512 shift = _mm512_mul_ps(largest(scores, length), _mm512_set1_ps(-scale));
  Softmax softmax = {_mm512_set1_ps(scale), shift, _mm512_setzero_ps()};
  size_t key = 0;
  for (; key + 2 <= length; key += 2) {
    const __m512 even = weigh(&softmax, scores + key * QUERIES), odd = weigh(&softmax, scores + (key + 1) * QUERIES);
    _mm512_store_si512(weights + key * QUERIES, weave(narrow(even, odd)));
  }
  if (key < length) {
    const __m512 last = weigh(&softmax, scores + key * QUERIES);
    _mm512_store_si512(weights + key * QUERIES, weave(narrow(last, _mm512_setzero_ps())));
    key += 2;
  }
  for (; key % TILE_COLUMNS; key += 2) _mm512_store_si512(weights + key * QUERIES, _mm512_setzero_si512());
  return softmax.sum;
}

INLINE void weigh_values(const Memory *memory, size_t keys, size_t width) {
  for (size_t i = 0; i < width; i += 2 * TILE_ROWS) {
    _tile_zero(2);
    _tile_zero(3);
    for (size_t key = 0; key < keys; key += TILE_COLUMNS) {
      const bf16 *values = memory->values + key * width + i * TILE_COLUMNS;
      _tile_loadd(7, memory->weights + key * QUERIES, TILE_BYTES);
      _tile_loadd(4, values, TILE_BYTES);
      _tile_loadd(5, values + TILE_SIZE, TILE_BYTES);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(2, memory->sums + i * QUERIES, TILE_BYTES);
    _tile_stored(3, memory->sums + (i + TILE_ROWS) * QUERIES, TILE_BYTES);
  }
}

// 32 rows of sums [32, QUERIES], divided by the sums of the weights, to 32 columns of `count` rows.
static void give(const float *sums, __m512 by, size_t count, Rows out, size_t row, size_t column) {
  bf16 pairs[TILE_SIZE] __attribute__((aligned(64))), turned[TILE_SIZE] __attribute__((aligned(64)));
  for (size_t pair = 0; pair < TILE_ROWS; pair++) {
    const __m512 even = _mm512_mul_ps(_mm512_load_ps(sums + 2 * pair * QUERIES), by);
    const __m512 odd = _mm512_mul_ps(_mm512_load_ps(sums + (2 * pair + 1) * QUERIES), by);
    _mm512_store_si512(pairs + pair * TILE_COLUMNS, weave(narrow(even, odd)));
  }
  transpose_pairs(pairs, TILE_COLUMNS, TILE_ROWS, turned);
  for (size_t query = 0; query < count && query < QUERIES; query++)
    _mm512_storeu_si512(row_of(out, row + query) + column * TILE_ROWS,
                        _mm512_load_si512(turned + query * TILE_COLUMNS));
}

// The scores of the next queries are under way while the weights of these are computed.
INLINE void attend_with(const Head *head, const size_t width, Rows out, size_t row, size_t column, void *memory) {
  const size_t keys = round_up(head->length, TILE_COLUMNS);
  const Memory parts = divided(memory, keys, width);
  prepare_values(head, width, parts.values);
  score(head, width, 0, parts.queries, parts.scores[0]);
  for (size_t query = 0, turn = 0; query < head->asked; query += QUERIES, turn ^= 1) {
    const size_t next = query + QUERIES;
    if (next < head->asked) score(head, width, next, parts.queries, parts.scores[turn ^ 1]);
    const __m512 sum = softmax_of(parts.scores[turn], head->length, head->scale, parts.weights);
    const __m512 by = _mm512_div_ps(_mm512_set1_ps(1.0f), sum);
    weigh_values(&parts, keys, width);
    for (size_t i = 0; i < width; i += TILE_COLUMNS)
      give(parts.sums + i * QUERIES, by, head->asked - query, out, row + query, column + i);
  }
}

// The usual widths have loops of their own.
void attend(const Head *head, Rows out, size_t row, size_t column, void *memory) {
  if (head->width == 32)
    attend_with(head, 32, out, row, column, memory);
  else if (head->width == 64)
    attend_with(head, 64, out, row, column, memory);
  else
    attend_with(head, head->width, out, row, column, memory);
}
