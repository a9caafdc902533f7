// `siftline::Encoder` for ONNX Runtime: all layers of an encoder as one operator.
//
//   hidden       float32 [T, H], tokens of all sequences one after the other
//   cu_seqlens   int32 [S + 1], where each sequence begins, and T
//   weights      bfloat16 [layers, outputs, inputs] and bias float32 [layers, outputs] of query, key and value together,
//                of attention's output, feed-forward up and down; scale and shift float32 [layers, H] of both
//                normalisations (the order is that of the enumeration below); all of them constants of the graph
//   heads, scale (of scores), epsilon, first_only: attributes
//
// A head may be wider than the model's, with rows of zeros: scores and values are the same.
//
// Out comes float32 [T, H], or [S, H] with first_only.
#include "layers.h"
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
  Layers layers;
  Layer *layer;
  int first_only;
  void *memory;
  size_t bytes;
} Kernel;

// Tiles belong to a process that has asked for them (Linux since 5.16).
static OrtStatus *ask_for_tiles(OrtApi api) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  if (!syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA)) return NULL;
  return ort_create_status(api)(ERROR_FAIL, "the kernel does not give AMX tiles to this process");
}

typedef struct {
  const bf16 *weights;
  const float *bias;
  size_t layers, outputs, inputs;
} Matrices;

static OrtStatus *read_matrices(Kernel *kernel, const OrtKernelInfo *info, int input, Matrices *found) {
  int64_t shape[DIMENSIONS], unused[DIMENSIONS];
  RETURN_IF_FAILED(constant_of(kernel->api, info, input, (const void **)&found->weights, shape));
  RETURN_IF_FAILED(constant_of(kernel->api, info, input + 1, (const void **)&found->bias, unused));
  found->layers = shape[0], found->outputs = shape[1], found->inputs = shape[2];
  if (!(shape[1] % PANEL || shape[2] % TILE_COLUMNS)) return NULL;
  return ort_create_status(kernel->api)(ERROR_INVALID_ARGUMENT, "Encoder: sizes must be multiples of 32");
}

static Matrix lay_down(char **at, const Matrices *from, size_t layer) {
  const size_t outputs = from->outputs, inputs = from->inputs;
  const bf16 *weights = from->weights + layer * outputs * inputs;
  const Matrix made = matrix_in(*at, weights, from->bias + layer * outputs, outputs, inputs);
  *at += matrix_memory(outputs, inputs);
  return made;
}

static Norm norm_of(Norm first, size_t layer) {
  first.scale += layer * first.width, first.shift += layer * first.width;
  return first;
}

// The matrices of all layers in pages of their own, one after the other.
static OrtStatus *read_layers(Kernel *kernel, const OrtKernelInfo *info) {
  OrtApi api = kernel->api;
  Matrices attention, attended, up, down;
  Norm after_attention, after_all;
  RETURN_IF_FAILED(read_matrices(kernel, info, ATTENTION, &attention));
  RETURN_IF_FAILED(read_matrices(kernel, info, ATTENDED, &attended));
  RETURN_IF_FAILED(read_matrices(kernel, info, UP, &up));
  RETURN_IF_FAILED(read_matrices(kernel, info, DOWN, &down));
  RETURN_IF_FAILED(read_norm(api, info, AFTER_ATTENTION_SCALE, &after_attention));
  RETURN_IF_FAILED(read_norm(api, info, AFTER_ALL_SCALE, &after_all));
  const size_t count = attention.layers, bytes = matrix_memory(attention.outputs, attention.inputs) +
                                                 matrix_memory(attended.outputs, attended.inputs) +
                                                 matrix_memory(up.outputs, up.inputs) +
                                                 matrix_memory(down.outputs, down.inputs);
  kernel->bytes = count * bytes;
  char *at = kernel->memory = large_memory(kernel->bytes);
  kernel->layer = calloc(count, sizeof(Layer));
  if (!at || !kernel->layer) return ort_create_status(api)(ERROR_FAIL, "Encoder: bad allocation of its weights");
  for (size_t i = 0; i < count; i++)
    kernel->layer[i] = (Layer){.attention = lay_down(&at, &attention, i),
                               .attended = lay_down(&at, &attended, i),
                               .up = lay_down(&at, &up, i),
                               .down = lay_down(&at, &down, i),
                               .after_attention = norm_of(after_attention, i),
                               .after_all = norm_of(after_all, i)};
  kernel->layers = (Layers){.of = kernel->layer, .count = count, .width = attention.inputs, .inner = up.outputs};
  return NULL;
}

static OrtStatus *read_kernel(Kernel *kernel, const OrtKernelInfo *info) {
  OrtApi api = kernel->api;
  Layers *layers = &kernel->layers;
  int64_t heads, first_only;
  RETURN_IF_FAILED(read_layers(kernel, info));
  RETURN_IF_FAILED(ort_int_attribute(api)(info, "heads", &heads));
  RETURN_IF_FAILED(ort_int_attribute(api)(info, "first_only", &first_only));
  RETURN_IF_FAILED(ort_float_attribute(api)(info, "scale", &layers->scale));
  layers->heads = heads, layers->head_width = layers->of->attended.inputs / heads;
  kernel->first_only = first_only != 0;
  if (layers->head_width % 32)
    return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "Encoder: heads must be multiples of 32 wide");
  return NULL;
}

static void destroy(void *kernel) {
  Kernel *made = kernel;
  release_memory(made->memory, made->bytes);
  free(made->layer);
  free(made);
}

static OrtStatus *create(const OrtCustomOp *self, OrtApi api, const OrtKernelInfo *info, void **kernel) {
  (void)self;
  RETURN_IF_FAILED(ask_for_tiles(api));
  Kernel *made = calloc(1, sizeof(Kernel));
  if (!made) return ort_create_status(api)(ERROR_FAIL, "Encoder: bad allocation");
  made->api = api;
  OrtStatus *status = read_kernel(made, info);
  if (status)
    destroy(made);
  else
    *kernel = made;
  return status;
}

static OrtStatus *compute(void *data, OrtKernelContext *context) {
  const Kernel *kernel = data;
  OrtApi api = kernel->api;
  const OrtValue *hidden, *ends;
  OrtValue *out;
  Batch batch = {.first_only = kernel->first_only};
  int64_t shape[DIMENSIONS], sequences;
  RETURN_IF_FAILED(ort_input(api)(context, HIDDEN, &hidden));
  RETURN_IF_FAILED(ort_input(api)(context, ENDS, &ends));
  RETURN_IF_FAILED(shape_of(api, hidden, shape));
  if (shape[2] != (int64_t)kernel->layers.width)
    return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "Encoder: hidden is not as wide as its weights");
  RETURN_IF_FAILED(read_ends(api, ends, shape[1], &batch.ends, &sequences));
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)hidden, (void **)&batch.hidden));
  const int64_t answer[2] = {kernel->first_only ? sequences : shape[1], shape[2]};
  RETURN_IF_FAILED(ort_output(api)(context, 0, answer, 2, &out));
  RETURN_IF_FAILED(ort_data(api)(out, (void **)&batch.out));
  batch.sequences = sequences;
  Threads threads = {api, context};
  if (run_layers(&kernel->layers, &batch, parallel, &threads)) return NULL;
  return ort_create_status(api)(ERROR_FAIL, "Encoder: bad allocation");
}

static const char *name(const OrtCustomOp *self) { return (void)self, "Encoder"; }

static size_t inputs(const OrtCustomOp *self) { return (void)self, INPUTS; }

static int input_type(const OrtCustomOp *self, size_t input) {
  (void)self;
  const int is_matrix = input == ATTENTION || input == ATTENDED || input == UP || input == DOWN;
  return input == ENDS ? TYPE_INT32 : is_matrix ? TYPE_BFLOAT16 : TYPE_FLOAT;
}

const OrtCustomOp encoder = {
    IN_MAIN_MEMORY_TO_ONE_FLOAT_TENSOR,
    .name = name,
    .input_type = input_type,
    .inputs = inputs,
    .destroy = destroy,
    .create_checked = create,
    .compute_checked = compute,
};
