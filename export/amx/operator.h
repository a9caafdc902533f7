// What the operators of the library have in common.
#ifndef SIFTLINE_OPERATOR_H
#define SIFTLINE_OPERATOR_H

#include <limits.h>

#include "norm.h"
#include "onnxruntime.h"

extern const OrtCustomOp embeddings, encoder, sequence_mean;

#define RETURN_IF_FAILED(status)       \
  do {                                 \
    OrtStatus *returned_ = (status);   \
    if (returned_) return returned_;   \
  } while (0)

enum { DIMENSIONS = 3 };

// The shape of an array of up to three dimensions, with as many ones before it as it takes.
static inline OrtStatus *shape_of(OrtApi api, const OrtValue *value, int64_t shape[DIMENSIONS]) {
  OrtTensorInfo *info;
  size_t count = 0;
  shape[0] = shape[1] = shape[2] = 1;
  RETURN_IF_FAILED(ort_tensor_info(api)(value, &info));
  OrtStatus *status = ort_dimension_count(api)(info, &count);
  if (!status && count > DIMENSIONS)
    status = ort_create_status(api)(ERROR_INVALID_ARGUMENT, "more than three dimensions");
  if (!status) status = ort_dimensions(api)(info, shape + DIMENSIONS - count, count);
  ort_release_tensor_info(api)(info);
  return status;
}

// Where sequences end, int32 [S + 1], for so many tokens; their number S.
static inline OrtStatus *read_ends(OrtApi api, const OrtValue *value, int64_t tokens, const int32_t **ends, int64_t *s) {
  int64_t shape[DIMENSIONS];
  RETURN_IF_FAILED(shape_of(api, value, shape));
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)value, (void **)ends));
  const int64_t count = shape[2];
  int rising = count >= 2 && (*ends)[0] == 0 && (*ends)[count - 1] == tokens;
  for (int64_t i = 1; rising && i < count; i++) rising = (*ends)[i] > (*ends)[i - 1];
  *s = count - 1;
  return rising ? NULL : ort_create_status(api)(ERROR_INVALID_ARGUMENT, "cu_seqlens must rise from 0 to the tokens");
}

// An input that never changes.
static inline OrtStatus *constant_of(OrtApi api, const OrtKernelInfo *info, size_t input, const void **data,
                                     int64_t shape[DIMENSIONS]) {
  int is_constant = 0;
  const OrtValue *value = NULL;
  RETURN_IF_FAILED(ort_constant_input(api)(info, input, &is_constant, &value));
  if (!is_constant) return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "weights must be constants");
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)value, (void **)data));
  return shape_of(api, value, shape);
}

// A scale and, as the next input, a shift; an attribute `epsilon`. Of several of them, the first.
static inline OrtStatus *read_norm(OrtApi api, const OrtKernelInfo *info, size_t input, Norm *norm) {
  int64_t shape[DIMENSIONS];
  RETURN_IF_FAILED(constant_of(api, info, input, (const void **)&norm->scale, shape));
  RETURN_IF_FAILED(constant_of(api, info, input + 1, (const void **)&norm->shift, shape));
  norm->width = shape[2];
  return ort_float_attribute(api)(info, "epsilon", &norm->epsilon);
}

typedef struct {
  OrtApi api;
  const OrtKernelContext *context;
} Threads;

// On the threads of the session; alone where there is one task.
static inline void parallel(void *data, void (*task)(void *, size_t), size_t tasks, void *of_task) {
  const Threads *threads = data;
  if (tasks == 1)
    task(of_task, 0);
  else
    ort_parallel(threads->api)(threads->context, task, tasks, 0, of_task);
}

static inline const char *provider(const OrtCustomOp *self) { return (void)self, NULL; }

static inline size_t outputs(const OrtCustomOp *self) { return (void)self, 1; }

static inline int output_type(const OrtCustomOp *self, size_t output) { return (void)self, (void)output, TYPE_FLOAT; }

static inline int required(const OrtCustomOp *self, size_t number) { return (void)self, (void)number, 0; }

static inline int in_main_memory(const OrtCustomOp *self, size_t number) { return (void)self, (void)number, 0; }

static inline int first_version(const OrtCustomOp *self) { return (void)self, 1; }

static inline int last_version(const OrtCustomOp *self) { return (void)self, INT_MAX; }

#define IN_MAIN_MEMORY_TO_ONE_FLOAT_TENSOR                                                            \
  .version = INTERFACE_VERSION, .provider = provider, .outputs = outputs, .output_type = output_type, \
  .input_kind = required, .output_kind = required, .input_memory = in_main_memory,                    \
  .first_version = first_version, .last_version = last_version

#endif
