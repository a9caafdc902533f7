"""The batcher between gRPC and the engine: rows in, rows out, batches by tokens in between.

rows.py      token sequences of one request, concatenated
ticket.py    one admitted request: what is still to be computed, and who waits for it
lane.py      the waiting rows of one priority, by length and age
former.py    which rows make the next batch
speed.py     how fast the engine is
admission.py which requests may wait
layout.py    what the batcher knows of a layout
matrices.py  the padded layout: rows of several requests as one matrix
packing.py   the packed layout: rows of several requests one after the other
engine.py    what computes, and how much at a time
batcher.py   dispatch, faults
metrics.py   what it tells Prometheus
"""

from serving.batching.batcher import Batcher
from serving.batching.engine import BatchLimits, Engine, OutOfMemory
from serving.batching.layout import Batch, Layout
from serving.batching.matrices import PaddedLayout
from serving.batching.packing import PackedLayout
from serving.batching.rows import Rows
from serving.batching.ticket import Completed, Priority

__all__ = [
    "Batch",
    "BatchLimits",
    "Batcher",
    "Completed",
    "Engine",
    "Layout",
    "OutOfMemory",
    "PackedLayout",
    "PaddedLayout",
    "Priority",
    "Rows",
]
