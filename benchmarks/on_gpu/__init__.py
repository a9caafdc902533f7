"""What benchmarks/gpu.py measures: one module for each kind of thing that computes."""
