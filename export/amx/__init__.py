"""The encoder of a BERT on a CPU that has AMX: an operator for ONNX Runtime, in C, and how its library is built.

tiles       matrix tiles, and how rows lie in them          matrix, product   linear layers
attention   inside one sequence, for one head               norm, gelu        what their names say
layer       one layer of the encoder on packed tokens       encoder_layer     the operator
"""
