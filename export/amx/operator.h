// What the operators of the library have in common.
#ifndef SIFTLINE_OPERATOR_H
#define SIFTLINE_OPERATOR_H

#include <limits.h>

#include "onnxruntime.h"

extern const OrtCustomOp encoder_layer, sequence_mean;

#define RETURN_IF_FAILED(status)       \
  do {                                 \
    OrtStatus *returned_ = (status);   \
    if (returned_) return returned_;   \
  } while (0)

static inline OrtStatus *dimensions_of(OrtApi api, const OrtValue *value, int64_t found[2], size_t *count) {
  OrtTensorInfo *info;
  RETURN_IF_FAILED(ort_tensor_info(api)(value, &info));
  OrtStatus *status = ort_dimension_count(api)(info, count);
  if (!status && *count > 2) status = ort_create_status(api)(ERROR_INVALID_ARGUMENT, "more than two dimensions");
  if (!status) status = ort_dimensions(api)(info, found, *count);
  ort_release_tensor_info(api)(info);
  return status;
}

// Where sequences end, int32 [S + 1], for so many tokens; their number S.
static inline OrtStatus *read_ends(OrtApi api, const OrtValue *value, int64_t tokens, const int32_t **ends, int64_t *s) {
  int64_t count[2];
  size_t dimensions;
  RETURN_IF_FAILED(dimensions_of(api, value, count, &dimensions));
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)value, (void **)ends));
  int rising = count[0] >= 2 && (*ends)[0] == 0 && (*ends)[count[0] - 1] == tokens;
  for (int64_t i = 1; rising && i < count[0]; i++) rising = (*ends)[i] > (*ends)[i - 1];
  *s = count[0] - 1;
  return rising ? NULL : ort_create_status(api)(ERROR_INVALID_ARGUMENT, "cu_seqlens must rise from 0 to the tokens");
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
