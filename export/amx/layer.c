#include "layer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "attention.h"
#include "memory.h"
#include "product.h"

// Whole sequences are computed together up to so many tokens: what they take beside the weights stays in a core's own
// cache. Feed-forward units likewise.
enum { GROUP = 384, UNITS = 384 };

// What a thread computes in, kept for the next layer: from the pool it would be fetched page by page again.
static _Thread_local struct {
  size_t bytes;
  void *memory;
} workspace;

static void *workspace_of(size_t bytes) {
  if (bytes > workspace.bytes) {
    free(workspace.memory);
    workspace.memory = large_memory(bytes);
    workspace.bytes = workspace.memory ? bytes : 0;
  }
  return workspace.memory;
}

typedef struct {
  const Layer *layer;
  const Batch *batch;
  size_t first, sequences, begin, tokens;  // of the batch
  size_t answered;                         // rows of the output
  Rows narrowed, context;
  bf16 *queries, *keys, *units;
  float *sums;
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
  const Layer *layer = group->layer;
  const size_t width = layer->width, across = layer->heads * layer->head_width, rows = round_up(group->tokens, 32) + 32;
  const size_t attention = attention_memory(longest_of(group), layer->head_width), per_row = width + 4 * across + UNITS;
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

// The hidden state that an output row begins with.
static const float *hidden_of(const Group *group, size_t row) {
  const Batch *batch = group->batch;
  const size_t token = batch->first_only ? (size_t)batch->ends[group->first + row] : group->begin + row;
  return batch->hidden + token * group->layer->width;
}

static void narrow_row(const float *row, size_t width, bf16 *tile) {
  for (size_t i = 0; i < width; i += TILE_COLUMNS, tile += TILE_SIZE)
    _mm512_storeu_si512(tile, narrow(_mm512_loadu_ps(row + i), _mm512_loadu_ps(row + i + 16)));
}

static void project_inputs(Group *group) {
  const size_t width = group->layer->width, across = group->context.across * TILE_COLUMNS;
  const Matrix *attention = &group->layer->attention;
  const float *hidden = group->batch->hidden + group->begin * width;
  for (size_t t = 0; t < group->tokens; t++) narrow_row(hidden + t * width, width, row_of(group->narrowed, t));
  project(group->narrowed, group->tokens, attention, across, 3 * across, group->keys, 2 * across);
  if (group->batch->first_only)
    for (size_t row = 0; row < group->answered; row++)
      narrow_row(hidden_of(group, row), width, row_of(group->narrowed, row));
  project(group->narrowed, group->answered, attention, 0, across, group->queries, across);
}

static void attend_in(Group *group, size_t sequence) {
  const Layer *layer = group->layer;
  const int32_t *ends = group->batch->ends + group->first + sequence;
  const size_t begin = ends[0] - group->begin, length = ends[1] - ends[0];
  const size_t width = layer->head_width, across = layer->heads * width;
  const size_t row = group->batch->first_only ? sequence : begin, asked = group->batch->first_only ? 1 : length;
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
                       .scale = layer->scale};
    attend(&head, group->context, row, column, group->attention);
  }
}

// `sums` begin with the hidden states and the bias, so that the product makes the residual sum.
static void finish_attention(Group *group) {
  const Layer *layer = group->layer;
  const size_t width = layer->width;
  for (size_t row = 0; row < group->answered; row++) {
    const float *hidden = hidden_of(group, row), *bias = layer->attended.bias;
    float *sums = group->sums + row * width;
    for (size_t i = 0; i < width; i += 16)
      _mm512_storeu_ps(sums + i, _mm512_add_ps(_mm512_loadu_ps(hidden + i), _mm512_loadu_ps(bias + i)));
  }
  add_product(group->context, group->answered, &layer->attended, 0, group->sums);
}

static void feed_forward(Group *group) {
  const Layer *layer = group->layer;
  const size_t width = layer->width;
  for (size_t row = 0; row < group->answered; row++) {
    float *sums = group->sums + row * width;
    normalize_to_tiles(&layer->after_attention, sums, layer->down.bias, sums, group->narrowed, row);
  }
  for (size_t unit = 0; unit < layer->inner; unit += UNITS) {
    const size_t end = unit + UNITS < layer->inner ? unit + UNITS : layer->inner;
    const Rows units = {group->units, (end - unit) / TILE_COLUMNS};
    project_gelu(group->narrowed, group->answered, &layer->up, unit, end, units);
    add_product(units, group->answered, &layer->down, unit, group->sums);
  }
  float *out = group->batch->out + (group->batch->first_only ? group->first : group->begin) * width;
  for (size_t row = 0; row < group->answered; row++)
    normalize(&layer->after_all, group->sums + row * width, out + row * width);
}

typedef struct {
  const Layer *layer;
  const Batch *batch;
  size_t *starts;  // of the groups, and the number of sequences
  atomic_int failed;
} Run;

static void run_group(void *data, size_t number) {
  Run *run = data;
  const int32_t *ends = run->batch->ends;
  const size_t first = run->starts[number], last = run->starts[number + 1];
  Group group = {.layer = run->layer,
                 .batch = run->batch,
                 .first = first,
                 .sequences = last - first,
                 .begin = ends[first],
                 .tokens = ends[last] - ends[first]};
  group.answered = run->batch->first_only ? group.sequences : group.tokens;
  if (!lay_out(&group)) {
    run->failed = 1;
    return;
  }
  shape_tiles();
  project_inputs(&group);
  for (size_t sequence = 0; sequence < group.sequences; sequence++) attend_in(&group, sequence);
  finish_attention(&group);
  feed_forward(&group);
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

int run_layer(const Layer *layer, const Batch *batch, Parallel parallel, void *threads) {
  Run run = {.layer = layer, .batch = batch, .starts = malloc((batch->sequences + 1) * sizeof(size_t))};
  if (!run.starts) return 0;
  parallel(threads, run_group, divide(batch, run.starts), &run);
  free(run.starts);
  return !run.failed;
}
