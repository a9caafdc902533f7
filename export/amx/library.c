#include "operator.h"

// What ONNX Runtime looks for in the library. The domain is that of all sessions and lives as long as the library.
__attribute__((visibility("default"))) OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
  static OrtCustomOpDomain *domain;
  OrtApi api = base->table(INTERFACE_VERSION);
  if (!domain) {
    OrtCustomOpDomain *made;
    RETURN_IF_FAILED(ort_create_domain(api)("siftline", &made));
    RETURN_IF_FAILED(ort_add_operator(api)(made, &embeddings));
    RETURN_IF_FAILED(ort_add_operator(api)(made, &encoder));
    RETURN_IF_FAILED(ort_add_operator(api)(made, &sequence_mean));
    domain = made;
  }
  return ort_add_domain(api)(options, domain);
}
