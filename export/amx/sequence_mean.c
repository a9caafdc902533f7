// `siftline::SequenceMean` for ONNX Runtime: the mean of the tokens of sequences.
//
//   hidden        float32 [T, H]
//   cu_seqlens    int32 [S + 1], where each sequence begins, and T
//   row_numbers   int32 [B], the sequences that are asked for
//
// Out comes float32 [B, H]. A sequence's tokens are added up in their order, so what stands beside it changes nothing.
#include "operator.h"

#include <immintrin.h>

enum { HIDDEN, ENDS, ROWS, INPUTS };

static OrtStatus *create(const OrtCustomOp *self, OrtApi api, const OrtKernelInfo *info, void **kernel) {
  (void)self, (void)info;
  *kernel = (void *)api;
  return NULL;
}

static void destroy(void *kernel) { (void)kernel; }

static void average(const float *hidden, size_t tokens, size_t width, float *out) {
  const __m512 share = _mm512_set1_ps(1.0f / tokens);
  for (size_t i = 0; i < width; i += 16) {
    const __mmask16 lanes = width - i < 16 ? (1u << (width - i)) - 1 : 0xffff;
    __m512 sum = _mm512_setzero_ps();
    for (size_t t = 0; t < tokens; t++) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, hidden + t * width + i));
    _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(sum, share));
  }
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context) {
  OrtApi api = (OrtApi)kernel;
  const OrtValue *inputs[INPUTS];
  OrtValue *value;
  const float *hidden;
  const int32_t *ends, *rows;
  float *out;
  int64_t shape[DIMENSIONS], count[DIMENSIONS], sequences;
  for (size_t i = 0; i < INPUTS; i++) RETURN_IF_FAILED(ort_input(api)(context, i, &inputs[i]));
  RETURN_IF_FAILED(shape_of(api, inputs[HIDDEN], shape));
  RETURN_IF_FAILED(shape_of(api, inputs[ROWS], count));
  RETURN_IF_FAILED(read_ends(api, inputs[ENDS], shape[1], &ends, &sequences));
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)inputs[HIDDEN], (void **)&hidden));
  RETURN_IF_FAILED(ort_data(api)((OrtValue *)inputs[ROWS], (void **)&rows));
  const int64_t width = shape[2], answer[2] = {count[2], width};
  RETURN_IF_FAILED(ort_output(api)(context, 0, answer, 2, &value));
  RETURN_IF_FAILED(ort_data(api)(value, (void **)&out));
  for (int64_t row = 0; row < count[2]; row++) {
    if (rows[row] < 0 || rows[row] >= sequences)
      return ort_create_status(api)(ERROR_INVALID_ARGUMENT, "row_numbers must be those of sequences");
    const int32_t begin = ends[rows[row]], end = ends[rows[row] + 1];
    average(hidden + begin * width, end - begin, width, out + row * width);
  }
  return NULL;
}

static const char *name(const OrtCustomOp *self) { return (void)self, "SequenceMean"; }

static size_t inputs(const OrtCustomOp *self) { return (void)self, INPUTS; }

static int input_type(const OrtCustomOp *self, size_t input) {
  return (void)self, input == HIDDEN ? TYPE_FLOAT : TYPE_INT32;
}

const OrtCustomOp sequence_mean = {
    IN_MAIN_MEMORY_TO_ONE_FLOAT_TENSOR,
    .name = name,
    .input_type = input_type,
    .inputs = inputs,
    .destroy = destroy,
    .create_checked = create,
    .compute_checked = compute,
};
