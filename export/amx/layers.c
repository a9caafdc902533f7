#include "layers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "memory.h"
#include "product.h"

// Whole sequences go through all layers together, up to so many tokens: what they take beside the weights stays in a
// core's own cache. Feed-forward units likewise.
enum { GROUP = 512, UNITS = 512 };

// What a thread computes in, kept for the next layer: from the pool it would be fetched page by page again.
static _Thread_local struct {
  size_t bytes;
  void *memory;
} workspace;

static void *workspace_of(size_t bytes) {
  if (bytes > workspace.bytes) {
    release_memory(workspace.memory, workspace.bytes);
    workspace.memory = large_memory(bytes);
    workspace.bytes = workspace.memory ? bytes : 0;
  }
  return workspace.memory;
}

typedef struct {
  const Layers *layers;
  const Batch *batch;
  size_t first, sequences, begin, tokens;  // of the batch
  size_t answered;                         // rows that the layer in hand gives
  Rows narrowed, context;                  // hidden states in bf16; what attention found
  bf16 *queries, *keys, *units;
  float *sums;  // hidden states, to which the halves of a layer are added
  void *attention;
} Group;

static size_t longest_of(const Group *group) {
  size_t longest = 0;
  for (size_t s = group->first; s < group->first + group->sequences; s++) {
    const size_t length = group->batch->ends[s + 1] - group->batch->ends[s];
    if (length > longest) longest = length;
  }
  return longest;
}

static void *take(char **free_from, size_t bytes) {
  void *taken = *free_from;
  *free_from += round_up(bytes, 64);
  return taken;
}

// Rows to a multiple of 32 and 32 more: products write so far, and attention reads so far.
static int lay_out(Group *group) {
  const Layers *layers = group->layers;
  const size_t width = layers->width, across = layers->heads * layers->head_width;
  const size_t rows = round_up(group->tokens, 32) + 32;
  const size_t attention = attention_memory(longest_of(group), layers->head_width), per_row = width + 4 * across + UNITS;
  char *at = workspace_of(rows * (per_row * sizeof(bf16) + width * sizeof(float)) + attention + 512);
  if (!at) return 0;
  group->narrowed = (Rows){take(&at, rows * width * sizeof(bf16)), width / TILE_COLUMNS};
  group->context = (Rows){take(&at, rows * across * sizeof(bf16)), across / TILE_COLUMNS};
  group->queries = take(&at, rows * across * sizeof(bf16));
  group->keys = take(&at, rows * 2 * across * sizeof(bf16));
  group->units = take(&at, rows * UNITS * sizeof(bf16));
  group->sums = take(&at, rows * width * sizeof(float));
  group->attention = take(&at, attention);
  return 1;
}

// Hidden states, and the sums that the first layer begins with.
static void take_in(Group *group) {
  const size_t width = group->layers->width;
  for (size_t t = 0; t < group->tokens; t++) {
    const float *hidden = group->batch->hidden + (group->begin + t) * width, *bias = group->layers->of->attended.bias;
    float *sums = group->sums + t * width;
    bf16 *tile = row_of(group->narrowed, t);
    for (size_t i = 0; i < width; i += TILE_COLUMNS, tile += TILE_SIZE) {
      const __m512 low = _mm512_loadu_ps(hidden + i), high = _mm512_loadu_ps(hidden + i + 16);
      _mm512_storeu_si512(tile, narrow(low, high));
      _mm512_storeu_ps(sums + i, _mm512_add_ps(low, _mm512_loadu_ps(bias + i)));
      _mm512_storeu_ps(sums + i + 16, _mm512_add_ps(high, _mm512_loadu_ps(bias + i + 16)));
    }
  }
}

// From now on there are no other rows. A first token never lies before its place.
static void keep_first_tokens(Group *group) {
  const size_t width = group->layers->width;
  for (size_t s = 0; s < group->sequences; s++) {
    const size_t t = group->batch->ends[group->first + s] - group->begin;
    if (t == s) continue;
    memcpy(group->sums + s * width, group->sums + t * width, width * sizeof(float));
    const bf16 *from = row_of(group->narrowed, t);
    bf16 *to = row_of(group->narrowed, s);
    for (size_t i = 0; i < width; i += TILE_COLUMNS, from += TILE_SIZE, to += TILE_SIZE)
      _mm512_storeu_si512(to, _mm512_loadu_si512(from));
  }
  group->answered = group->sequences;
}

static void project_inputs(Group *group, const Matrix *attention, int first_only) {
  const size_t across = group->context.across * TILE_COLUMNS;
  project(group->narrowed, group->tokens, attention, across, 3 * across, group->keys, 2 * across);
  if (first_only) keep_first_tokens(group);
  project(group->narrowed, group->answered, attention, 0, across, group->queries, across);
}

static void attend_in(Group *group, size_t sequence, int first_only) {
  const Layers *layers = group->layers;
  const int32_t *ends = group->batch->ends + group->first + sequence;
  const size_t begin = ends[0] - group->begin, length = ends[1] - ends[0];
  const size_t width = layers->head_width, across = layers->heads * width;
  const size_t row = first_only ? sequence : begin, asked = first_only ? 1 : length;
  for (size_t column = 0; column < across; column += width) {
    const bf16 *keys = group->keys + begin * 2 * across + column;
    const Head head = {.queries = group->queries + row * across + column,
                       .keys = keys,
                       .values = keys + across,
                       .query_stride = across,
                       .key_stride = 2 * across,
                       .asked = asked,
                       .length = length,
                       .width = width,
                       .scale = layers->scale};
    attend(&head, group->context, row, column, group->attention);
  }
}

static void feed_forward(Group *group, const Layer *layer) {
  const size_t width = group->layers->width, inner = group->layers->inner;
  for (size_t row = 0; row < group->answered; row++) {
    float *sums = group->sums + row * width;
    normalize_to_tiles(&layer->after_attention, sums, layer->down.bias, sums, group->narrowed, row);
  }
  for (size_t unit = 0; unit < inner; unit += UNITS) {
    const size_t end = unit + UNITS < inner ? unit + UNITS : inner;
    const Rows units = {group->units, (end - unit) / TILE_COLUMNS};
    project_gelu(group->narrowed, group->answered, &layer->up, unit, end, units);
    add_product(units, group->answered, &layer->down, unit, group->sums);
  }
}

// To the next layer, whose bias is added already: products are added to what is there.
static void hand_on(Group *group, const Layer *layer) {
  const size_t width = group->layers->width;
  for (size_t row = 0; row < group->answered; row++) {
    float *sums = group->sums + row * width;
    normalize_to_tiles(&layer->after_all, sums, layer[1].attended.bias, sums, group->narrowed, row);
  }
}

static void give_out(Group *group, const Layer *layer) {
  const size_t width = group->layers->width;
  float *out = group->batch->out + (group->batch->first_only ? group->first : group->begin) * width;
  for (size_t row = 0; row < group->answered; row++)
    normalize(&layer->after_all, group->sums + row * width, out + row * width);
}

static void run_layer(Group *group, const Layer *layer, int is_last) {
  const int first_only = is_last && group->batch->first_only;
  project_inputs(group, &layer->attention, first_only);
  for (size_t sequence = 0; sequence < group->sequences; sequence++) attend_in(group, sequence, first_only);
  add_product(group->context, group->answered, &layer->attended, 0, group->sums);
  feed_forward(group, layer);
  if (is_last)
    give_out(group, layer);
  else
    hand_on(group, layer);
}

typedef struct {
  const Layers *layers;
  const Batch *batch;
  size_t *starts;  // of the groups, and the number of sequences
  atomic_int failed;
} Run;

static void run_group(void *data, size_t number) {
  Run *run = data;
  const int32_t *ends = run->batch->ends;
  const size_t first = run->starts[number], last = run->starts[number + 1];
  Group group = {.layers = run->layers,
                 .batch = run->batch,
                 .first = first,
                 .sequences = last - first,
                 .begin = ends[first],
                 .tokens = ends[last] - ends[first],
                 .answered = ends[last] - ends[first]};
  if (!lay_out(&group)) {
    run->failed = 1;
    return;
  }
  shape_tiles();
  take_in(&group);
  for (size_t i = 0; i < run->layers->count; i++) run_layer(&group, &run->layers->of[i], i + 1 == run->layers->count);
  release_tiles();
}

// Whole sequences in order, as many as fit; returns how many groups.
static size_t divide(const Batch *batch, size_t *starts) {
  size_t groups = 0;
  starts[0] = 0;
  for (size_t s = 1; s < batch->sequences; s++)
    if (batch->ends[s + 1] - batch->ends[starts[groups]] > GROUP) starts[++groups] = s;
  starts[++groups] = batch->sequences;
  return groups;
}

int run_layers(const Layers *layers, const Batch *batch, Parallel parallel, void *threads) {
  Run run = {.layers = layers, .batch = batch, .starts = malloc((batch->sequences + 1) * sizeof(size_t))};
  if (!run.starts) return 0;
  parallel(threads, run_group, divide(batch, run.starts), &run);
  free(run.starts);
  return !run.failed;
}
