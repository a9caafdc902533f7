// `siftline::EncoderLayer` for ONNX Runtime: a layer of an encoder as one operator.
//
//   hidden       float32 [T, H], tokens of all sequences one after the other
//   cu_seqlens   int32 [S + 1], where each sequence begins, and T
//   weights      bfloat16 [outputs, inputs] and bias float32 [outputs] of query, key and value together, of attention's
//                output, feed-forward up and down; scale and shift float32 [H] of both normalisations (the order is
//                that of the enumeration below); all of them constants of the graph
//   heads, scale (of scores), epsilon, first_only: attributes
//
// A head may be wider than the model's, with rows of zeros: scores and values are the same.
//
// Out comes float32 [T, H], or [S, H] with first_only.
#include "layer.h"
#include "memory.h"
#include "operator.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
  HIDDEN,
  ENDS,
  ATTENTION,
  ATTENTION_BIAS,
  ATTENDED,
  ATTENDED_BIAS,
  AFTER_ATTENTION_SCALE,
  AFTER_ATTENTION_SHIFT,
  UP,
  UP_BIAS,
  DOWN,
  DOWN_BIAS,
  AFTER_ALL_SCALE,
  AFTER_ALL_SHIFT,
  INPUTS
};

typedef struct {
  OrtApi api;
  Layer layer;
  int first_only;
  void *memory;
} Kernel;

// Tiles belong to a process that has asked for them (Linux since 5.16).
static OrtStatus *ask_for_tiles(OrtApi api) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  if (!syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA)) return NULL;
  return ort_create_status(api)(ERROR_FAIL, "the kernel does not give AMX tiles to this process");
}

static OrtStatus *constant(OrtApi api, const OrtKernelInfo *info, size_t input, const void **data, int64_t shape[2]) {
  int is_constant = 0;
  const OrtValue *value = NULL;
  size_t count;
  RETURN_IF_FAILED(ort_constant_input(api)(info, input, &is_constant, &value));
  if (!is_constant) return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "EncoderLayer: weights must be constants");
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)value, (void **)data));
  return dimensions_of(api, value, shape, &count);
}

// The matrices in pages of their own, one after the other.
static OrtStatus *read_matrices(Kernel *kernel, const OrtKernelInfo *info) {
  static const int inputs[] = {ATTENTION, ATTENDED, UP, DOWN};
  Matrix *matrices[] = {&kernel->layer.attention, &kernel->layer.attended, &kernel->layer.up, &kernel->layer.down};
  const void *weights[4], *biases[4];
  int64_t shapes[4][2], unused[2];
  size_t bytes = 0;
  for (int i = 0; i < 4; i++) {
    RETURN_IF_FAILED(constant(kernel->api, info, inputs[i], &weights[i], shapes[i]));
    RETURN_IF_FAILED(constant(kernel->api, info, inputs[i] + 1, &biases[i], unused));
    if (shapes[i][0] % PANEL || shapes[i][1] % TILE_COLUMNS)
      return ort_create_status(kernel->api)(ERROR_INVALID_ARGUMENT, "EncoderLayer: sizes must be multiples of 32");
    bytes += matrix_memory(shapes[i][0], shapes[i][1]);
  }
  char *at = kernel->memory = large_memory(bytes);
  if (!at) return ort_create_status(kernel->api)(ERROR_FAIL, "EncoderLayer: bad allocation of its weights");
  for (int i = 0; i < 4; i++) {
    *matrices[i] = matrix_in(at, weights[i], biases[i], shapes[i][0], shapes[i][1]);
    at += matrix_memory(shapes[i][0], shapes[i][1]);
  }
  return NULL;
}

static OrtStatus *read_norm(Kernel *kernel, const OrtKernelInfo *info, int input, float epsilon, Norm *norm) {
  int64_t shape[2];
  RETURN_IF_FAILED(constant(kernel->api, info, input, (const void **)&norm->scale, shape));
  RETURN_IF_FAILED(constant(kernel->api, info, input + 1, (const void **)&norm->shift, shape));
  norm->width = shape[0], norm->epsilon = epsilon;
  return NULL;
}

static OrtStatus *read_layer(Kernel *kernel, const OrtKernelInfo *info) {
  OrtApi api = kernel->api;
  Layer *layer = &kernel->layer;
  int64_t heads, first_only;
  float epsilon;
  RETURN_IF_FAILED(ort_int_attribute(api)(info, "heads", &heads));
  RETURN_IF_FAILED(ort_int_attribute(api)(info, "first_only", &first_only));
  RETURN_IF_FAILED(ort_float_attribute(api)(info, "epsilon", &epsilon));
  RETURN_IF_FAILED(ort_float_attribute(api)(info, "scale", &layer->scale));
  RETURN_IF_FAILED(read_matrices(kernel, info));
  RETURN_IF_FAILED(read_norm(kernel, info, AFTER_ATTENTION_SCALE, epsilon, &layer->after_attention));
  RETURN_IF_FAILED(read_norm(kernel, info, AFTER_ALL_SCALE, epsilon, &layer->after_all));
  layer->width = layer->attention.inputs, layer->inner = layer->up.outputs;
  layer->heads = heads, layer->head_width = layer->attended.inputs / heads;
  kernel->first_only = first_only != 0;
  if (layer->head_width % 32)
    return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "EncoderLayer: heads must be multiples of 32 wide");
  return NULL;
}

static void destroy(void *kernel) {
  free(((Kernel *)kernel)->memory);
  free(kernel);
}

static OrtStatus *create(const OrtCustomOp *self, OrtApi api, const OrtKernelInfo *info, void **kernel) {
  (void)self;
  RETURN_IF_FAILED(ask_for_tiles(api));
  Kernel *made = calloc(1, sizeof(Kernel));
  if (!made) return ort_create_status(api)(ERROR_FAIL, "EncoderLayer: bad allocation");
  made->api = api;
  OrtStatus *status = read_layer(made, info);
  if (status)
    destroy(made);
  else
    *kernel = made;
  return status;
}

typedef struct {
  OrtApi api;
  const OrtKernelContext *context;
} Threads;

// On the threads of the session; alone where it has one.
static void parallel(void *data, void (*task)(void *, size_t), size_t tasks, void *of_task) {
  const Threads *threads = data;
  if (tasks == 1)
    task(of_task, 0);
  else
    ort_parallel(threads->api)(threads->context, task, tasks, 0, of_task);
}

static OrtStatus *compute(void *data, OrtKernelContext *context) {
  const Kernel *kernel = data;
  OrtApi api = kernel->api;
  const OrtValue *hidden, *ends;
  OrtValue *out;
  Batch batch = {.first_only = kernel->first_only};
  int64_t shape[2], sequences;
  size_t dimensions;
  RETURN_IF_FAILED(ort_input(api)(context, HIDDEN, &hidden));
  RETURN_IF_FAILED(ort_input(api)(context, ENDS, &ends));
  RETURN_IF_FAILED(dimensions_of(api, hidden, shape, &dimensions));
  if (shape[1] != (int64_t)kernel->layer.width)
    return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "EncoderLayer: hidden is not as wide as its weights");
  RETURN_IF_FAILED(read_ends(api, ends, shape[0], &batch.ends, &sequences));
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)hidden, (void **)&batch.hidden));
  const int64_t answer[2] = {kernel->first_only ? sequences : shape[0], shape[1]};
  RETURN_IF_FAILED(ort_output(api)(context, 0, answer, 2, &out));
  RETURN_IF_FAILED(ort_data(api)(out, (void **)&batch.out));
  batch.sequences = sequences;
  Threads threads = {api, context};
  if (run_layer(&kernel->layer, &batch, parallel, &threads)) return NULL;
  return ort_create_status(api)(ERROR_FAIL, "EncoderLayer: bad allocation");
}

static const char *name(const OrtCustomOp *self) { return (void)self, "EncoderLayer"; }

static size_t inputs(const OrtCustomOp *self) { return (void)self, INPUTS; }

static int input_type(const OrtCustomOp *self, size_t input) {
  (void)self;
  const int is_matrix = input == ATTENTION || input == ATTENDED || input == UP || input == DOWN;
  return input == ENDS ? TYPE_INT32 : is_matrix ? TYPE_BFLOAT16 : TYPE_FLOAT;
}

const OrtCustomOp encoder_layer = {
    IN_MAIN_MEMORY_TO_ONE_FLOAT_TENSOR,
    .name = name,
    .input_type = input_type,
    .inputs = inputs,
    .destroy = destroy,
    .create_checked = create,
    .compute_checked = compute,
};
