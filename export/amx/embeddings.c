// `siftline::Embeddings` for ONNX Runtime: what an encoder of BERT's kind begins with.
//
//   input_ids, position_ids, token_type_ids   int32 [T]
//   words, positions, types                   float32 [.., H], constants
//   scale, shift                              float32 [H], of the normalisation, constants
//   epsilon                                   an attribute
//
// Out comes float32 [T, H]: of each token the sum of its rows, normalised.
#include <stdlib.h>

#include "norm.h"
#include "operator.h"

enum { IDS, POSITION_IDS, TYPE_IDS, WORDS, POSITIONS, TYPES, SCALE, SHIFT, INPUTS };

enum { TABLES = 3, CHUNK = 64, AHEAD = 2 };

typedef struct {
  const float *rows;  // [count, width]
  int64_t count;
} Table;

typedef struct {
  OrtApi api;
  Table tables[TABLES];
  Norm norm;
} Kernel;

static OrtStatus *read_tables(Kernel *kernel, const OrtKernelInfo *info) {
  for (int i = 0; i < TABLES; i++) {
    int64_t shape[DIMENSIONS];
    RETURN_IF_FAILED(constant_of(kernel->api, info, WORDS + i, (const void **)&kernel->tables[i].rows, shape));
    if (shape[2] != (int64_t)kernel->norm.width)
      return ort_create_status(kernel->api)(ERROR_INVALID_ARGUMENT, "Embeddings: tables must be as wide as the norm");
    kernel->tables[i].count = shape[1];
  }
  return NULL;
}

static OrtStatus *read_kernel(Kernel *kernel, const OrtKernelInfo *info) {
  RETURN_IF_FAILED(read_norm(kernel->api, info, SCALE, &kernel->norm));
  if (kernel->norm.width % 16)
    return ort_create_status(kernel->api)(ERROR_INVALID_ARGUMENT, "Embeddings: the width must be a multiple of 16");
  return read_tables(kernel, info);
}

static OrtStatus *create(const OrtCustomOp *self, OrtApi api, const OrtKernelInfo *info, void **kernel) {
  (void)self;
  Kernel *made = calloc(1, sizeof(Kernel));
  if (!made) return ort_create_status(api)(ERROR_FAIL, "Embeddings: bad allocation");
  made->api = api;
  OrtStatus *status = read_kernel(made, info);
  if (status)
    free(made);
  else
    *kernel = made;
  return status;
}

typedef struct {
  const Kernel *kernel;
  const int32_t *ids[TABLES];
  size_t tokens;
  float *out;
} Run;

static void embed(const Run *run, size_t token) {
  const Table *tables = run->kernel->tables;
  const size_t width = run->kernel->norm.width;
  const float *word = tables[0].rows + run->ids[0][token] * width;
  const float *position = tables[1].rows + run->ids[1][token] * width;
  const float *type = tables[2].rows + run->ids[2][token] * width;
  float *out = run->out + token * width;
  for (size_t i = 0; i < width; i += 16) {
    const __m512 first = _mm512_add_ps(_mm512_loadu_ps(word + i), _mm512_loadu_ps(type + i));
    _mm512_storeu_ps(out + i, _mm512_add_ps(first, _mm512_loadu_ps(position + i)));
  }
  normalize(&run->kernel->norm, out, out);
}

// A word's row is seldom in a cache, so that of a later token is sent for.
static void send_for(const Run *run, size_t token) {
  const size_t width = run->kernel->norm.width;
  const float *word = run->kernel->tables[0].rows + run->ids[0][token] * width;
  for (size_t i = 0; i < width; i += 16) _mm_prefetch((const char *)(word + i), _MM_HINT_T0);
}

static void embed_chunk(void *data, size_t number) {
  const Run *run = data;
  const size_t first = number * CHUNK, end = first + CHUNK < run->tokens ? first + CHUNK : run->tokens;
  for (size_t token = first; token < end; token++) {
    if (token + AHEAD < run->tokens) send_for(run, token + AHEAD);
    embed(run, token);
  }
}

static int in_tables(const Run *run) {
  for (int i = 0; i < TABLES; i++)
    for (size_t token = 0; token < run->tokens; token++)
      if (run->ids[i][token] < 0 || run->ids[i][token] >= run->kernel->tables[i].count) return 0;
  return 1;
}

static OrtStatus *compute(void *data, OrtKernelContext *context) {
  Run run = {.kernel = data};
  OrtApi api = run.kernel->api;
  OrtValue *out;
  for (int i = 0; i < TABLES; i++) {
    const OrtValue *ids;
    int64_t found[DIMENSIONS];
    RETURN_IF_FAILED(ort_input(api)(context, i, &ids));
    RETURN_IF_FAILED(shape_of(api, ids, found));
    RETURN_IF_FAILED(ort_data(api)((OrtValue *)ids, (void **)&run.ids[i]));
    if (i && found[2] != (int64_t)run.tokens)
      return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "Embeddings: not as many ids of each kind");
    run.tokens = found[2];
  }
  if (!in_tables(&run)) return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "Embeddings: an id is not in its table");
  const int64_t shape[2] = {run.tokens, run.kernel->norm.width};
  RETURN_IF_FAILED(ort_output(api)(context, 0, shape, 2, &out));
  RETURN_IF_FAILED(ort_data(api)(out, (void **)&run.out));
  Threads threads = {api, context};
  parallel(&threads, embed_chunk, (run.tokens + CHUNK - 1) / CHUNK, &run);
  return NULL;
}

static const char *name(const OrtCustomOp *self) { return (void)self, "Embeddings"; }

static size_t inputs(const OrtCustomOp *self) { return (void)self, INPUTS; }

static int input_type(const OrtCustomOp *self, size_t input) {
  return (void)self, input < TABLES ? TYPE_INT32 : TYPE_FLOAT;
}

const OrtCustomOp embeddings = {
    IN_MAIN_MEMORY_TO_ONE_FLOAT_TENSOR,
    .name = name,
    .input_type = input_type,
    .inputs = inputs,
    .destroy = free,
    .create_checked = create,
    .compute_checked = compute,
};
