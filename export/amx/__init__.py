"""The encoder of a BERT on a CPU that has AMX: operators for ONNX Runtime, in C, and how their library is built.

tiles       matrix tiles, and how rows lie in them          matrix, product   linear layers
attention   inside one sequence, for one head               norm, gelu        what their names say
layers      those of the encoder on packed tokens           memory            pages for weights and scratch
embeddings, encoder, sequence_mean   the operators          library.c         what ONNX Runtime finds in the library
"""

DOMAIN = "siftline"  # of the operators (library.c)
