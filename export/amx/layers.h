// The layers of a BERT's encoder, normalised after each half (Devlin et al., 2018, arXiv 1810.04805), on packed tokens.
#ifndef SIFTLINE_LAYERS_H
#define SIFTLINE_LAYERS_H

#include "matrix.h"
#include "norm.h"

typedef struct {
  Matrix attention, attended;  // queries, keys and values one after the other; what follows attention
  Matrix up, down;             // feed-forward
  Norm after_attention, after_all;
} Layer;

// Layers of one shape, and the sizes that they share.
typedef struct {
  const Layer *of;
  size_t count;
  size_t width, inner;       // hidden size, feed-forward units
  size_t heads, head_width;  // as wide as their matrices make them, a multiple of 32
  float scale;               // of scores
} Layers;

// Sequences one after the other: sequence s has the tokens ends[s] to ends[s + 1].
typedef struct {
  const float *hidden;  // [tokens, width]
  const int32_t *ends;  // [sequences + 1], from 0 on, rising
  size_t sequences;
  int first_only;  // the last layer is computed for the first token of each sequence alone
  float *out;      // [tokens, width], or [sequences, width]
} Batch;

// Calls `task(data, number)` for all numbers below `tasks`, on as many threads as it likes, and returns after the last.
typedef void (*Parallel)(void *threads, void (*task)(void *, size_t), size_t tasks, void *data);

// False where memory lacks.
int run_layers(const Layers *layers, const Batch *batch, Parallel parallel, void *threads);

#endif
