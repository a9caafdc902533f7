"""The batcher between gRPC and the engine: rows in, rows out, batches by tokens in between.

rows.py      token sequences of one request, concatenated
ticket.py    one admitted request: what is still to be computed, and who waits for it
lane.py      the waiting rows of one priority, by length and age
former.py    which rows make the next batch
matrices.py  rows of several requests as one padded matrix
batcher.py   admission, dispatch, faults
metrics.py   what it tells Prometheus
"""

from serving.batching.batcher import Batcher, BatchLimits, Engine, OutOfMemory
from serving.batching.matrices import Layout, Matrices
from serving.batching.rows import Rows
from serving.batching.ticket import Completed, Priority

__all__ = ["BatchLimits", "Batcher", "Completed", "Engine", "Layout", "Matrices", "OutOfMemory", "Priority", "Rows"]
