// The part of ONNX Runtime's C interface that a library of custom operators needs, as of its version 17.
//
// The interface is a table of functions that only grows at its end: a place in it never changes its meaning. Here are
// the places that we use, with their signatures.
// https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_c_api.h
#ifndef SIFTLINE_ONNXRUNTIME_H
#define SIFTLINE_ONNXRUNTIME_H

#include <stddef.h>
#include <stdint.h>

enum { INTERFACE_VERSION = 17 };

typedef struct OrtStatus OrtStatus;  // NULL is success
typedef struct OrtValue OrtValue;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtTensorInfo OrtTensorInfo;
typedef void (*const *OrtApi)(void);

typedef struct {
  OrtApi (*table)(uint32_t version);
  const char *(*version)(void);
} OrtApiBase;

enum { TYPE_FLOAT = 1, TYPE_INT32 = 6, TYPE_BFLOAT16 = 16 };
enum { ERROR_FAIL = 1, ERROR_INVALID_ARGUMENT = 2 };

#define ORT(api, place, ...) ((OrtStatus * (*)(__VA_ARGS__))(api)[place])

#define ort_create_status(api) ORT(api, 0, int, const char *)
#define ort_create_domain(api) ORT(api, 26, const char *, OrtCustomOpDomain **)
#define ort_add_operator(api) ORT(api, 27, OrtCustomOpDomain *, const void *)
#define ort_add_domain(api) ORT(api, 28, OrtSessionOptions *, OrtCustomOpDomain *)
#define ort_data(api) ORT(api, 51, OrtValue *, void **)
#define ort_dimension_count(api) ORT(api, 61, const OrtTensorInfo *, size_t *)
#define ort_dimensions(api) ORT(api, 62, const OrtTensorInfo *, int64_t *, size_t)
#define ort_tensor_info(api) ORT(api, 65, const OrtValue *, OrtTensorInfo **)
#define ort_float_attribute(api) ORT(api, 85, const OrtKernelInfo *, const char *, float *)
#define ort_int_attribute(api) ORT(api, 86, const OrtKernelInfo *, const char *, int64_t *)
#define ort_input(api) ORT(api, 90, const OrtKernelContext *, size_t, const OrtValue **)
#define ort_output(api) ORT(api, 91, OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **)
#define ort_release_tensor_info(api) ((void (*)(OrtTensorInfo *))(api)[99])
#define ort_constant_input(api) ORT(api, 249, const OrtKernelInfo *, size_t, int *, const OrtValue **)
#define ort_parallel(api) ORT(api, 274, const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t, void *)

// What an operator is, in functions; those that need not be there are left NULL.
typedef struct OrtCustomOp {
  uint32_t version;
  void *(*create)(const struct OrtCustomOp *, OrtApi, const OrtKernelInfo *);  // before version 16
  const char *(*name)(const struct OrtCustomOp *);
  const char *(*provider)(const struct OrtCustomOp *);
  int (*input_type)(const struct OrtCustomOp *, size_t);
  size_t (*inputs)(const struct OrtCustomOp *);
  int (*output_type)(const struct OrtCustomOp *, size_t);
  size_t (*outputs)(const struct OrtCustomOp *);
  void (*compute)(void *kernel, OrtKernelContext *);  // before version 16
  void (*destroy)(void *kernel);
  int (*input_kind)(const struct OrtCustomOp *, size_t);
  int (*output_kind)(const struct OrtCustomOp *, size_t);
  int (*input_memory)(const struct OrtCustomOp *, size_t);
  int (*variadic[4])(const struct OrtCustomOp *);
  OrtStatus *(*create_checked)(const struct OrtCustomOp *, OrtApi, const OrtKernelInfo *, void **kernel);
  OrtStatus *(*compute_checked)(void *kernel, OrtKernelContext *);
  OrtStatus *(*infer_shape)(const struct OrtCustomOp *, void *);
  int (*first_version)(const struct OrtCustomOp *);
  int (*last_version)(const struct OrtCustomOp *);
} OrtCustomOp;

#endif
