"""tei.v1: what Text Embeddings Inference speaks over gRPC, converted to our own messages and back."""
