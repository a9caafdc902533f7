"""Text Embeddings Inference as it really behaves, which its documentation does not say in every case."""
