"""A session on a GPU: one copy in, one copy out, and for small packed batches a CUDA graph.

On the CPU provider the same steps run in ordinary memory; that is how they are tested where there is no GPU.
"""

import ctypes
import logging

import numpy as np
import onnxruntime as ort

log = logging.getLogger("siftline.runner")

# Inputs lie one after the other in one piece of memory, each at a multiple of 256 bytes, as CUDA's own allocations do.
ALIGNMENT = 64
# A batch of so few sequences and tokens is computed by a CUDA graph, because launching its hundred kernels one by one
# takes longer than computing them. Its shapes go by the number of tokens alone, which comes in steps: graphs are few.
GRAPH_SEQUENCES, GRAPH_TOKENS, GRAPH_STEP = 16, 2048, 32
NO_GRAPH = -1


class HostMemory:
    """int32 memory that grows; page-locked where `cudart` is given, so that a GPU reads and writes it directly."""

    def __init__(self, cudart=None):
        self._cudart = cudart
        self._memory = np.empty(0, np.int32)

    def take(self, count):
        """What was taken before is no longer anyone's."""
        if count > self._memory.size:
            self._unlock()
            self._memory = np.empty(2 * count, np.int32)
            if self._cudart is not None:
                succeed(self._cudart, self._cudart.cudaHostRegister(*self._place(), 0))
        return self._memory[:count]

    def _unlock(self):
        if self._cudart is not None and self._memory.size:
            succeed(self._cudart, self._cudart.cudaHostUnregister(self._place()[0]))

    def _place(self):
        return ctypes.c_void_p(self._memory.ctypes.data), ctypes.c_size_t(self._memory.nbytes)


class DeviceSession:
    """`session` on `device` ("cuda" or "cpu") number `device_id`.

    dims:    of each output, -1 where the inputs' sizes decide
    cudart:  CUDA's runtime, None on a CPU
    graphs:  whether small batches are computed by CUDA graphs; the session must have been opened for it
    """

    def __init__(self, session, dims, device="cpu", device_id=0, cudart=None, graphs=False):
        self.session, self.dims, self.place, self.graphs = session, dims, (device, device_id), graphs
        self.staging = HostMemory(cudart)
        self._answers = HostMemory(cudart)
        self._without_graph = run_options(NO_GRAPH)
        self._captured = {}
        self._symbols = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}

    def get_inputs(self):
        return self.session.get_inputs()

    def get_outputs(self):
        return self.session.get_outputs()

    def run_with_ort_values(self, names, feed):
        """As InferenceSession's, but arrays come back."""
        return self.run(names, {name: value.numpy() for name, value in feed.items()})

    def run(self, names, feed):
        """The outputs of these names, float32; `feed` has int32 arrays by name."""
        if self.graphs and small(feed) and names == [self.session.get_outputs()[0].name]:
            try:
                return [self._graph(names[0], feed).run(feed)]
            except Exception as error:
                if exhausted(error):
                    raise
                log.warning("no CUDA graphs from now on: %s", error)
                self.graphs = False
        return self._run(names, feed)

    def _run(self, names, feed):
        binding = self.session.io_binding()
        memory = ort.OrtValue.ortvalue_from_numpy(joined(feed, self.staging), *self.place)
        self.bind(binding, feed, memory)
        shapes = [self.shape_of(name, feed) for name in names]
        sizes = [aligned(int(np.prod(shape))) for shape in shapes]
        parts = np.split(self._answers.take(sum(sizes)).view(np.float32), np.cumsum(sizes)[:-1])
        found = [part[: np.prod(shape)].reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        for name, array in zip(names, found, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self.session.run_with_iobinding(binding, self._without_graph)
        return [array.copy() for array in found]

    def bind(self, binding, feed, memory):
        """The inputs to their places in `memory`, where `joined` put them."""
        first = memory.data_ptr()
        for name, array in feed.items():
            binding.bind_input(name, *self.place, np.int32, array.shape, first)
            first += 4 * aligned(array.size)

    def shape_of(self, name, feed):
        """Of an output: sizes that its graph gives a name are those of the inputs where the name occurs."""
        named = {s: n for i, array in feed.items() for s, n in zip(self._symbols[i], array.shape, strict=True)}
        return [n if n > 0 else named[s] for n, s in zip(self.dims[name], self._symbols[name], strict=True)]

    def _graph(self, output, feed):
        tokens = feed["input_ids"].size
        if tokens not in self._captured:
            self._captured[tokens] = CapturedBatch(self, output, in_fixed_shapes(feed))
        return self._captured[tokens]


class CapturedBatch:
    """Fixed memory for batches of one number of tokens. ONNX Runtime records the graph in the first run of its id."""

    def __init__(self, owner, output, feed):
        self._owner = owner
        self._binding = owner.session.io_binding()
        size = sum(aligned(array.size) for array in feed.values())
        self._memory = ort.OrtValue.ortvalue_from_shape_and_type([size], np.int32, *owner.place)
        self._answers = ort.OrtValue.ortvalue_from_shape_and_type(
            owner.shape_of(output, feed), np.float32, *owner.place
        )
        owner.bind(self._binding, feed, self._memory)
        self._binding.bind_ortvalue_output(output, self._answers)
        self._options = run_options(feed["input_ids"].size)

    def run(self, feed):
        self._memory.update_inplace(joined(in_fixed_shapes(feed), self._owner.staging))
        self._owner.session.run_with_iobinding(self._binding, self._options)
        # numpy() of a CPU's memory is that memory.
        return self._answers.numpy()[: feed["row_numbers"].size].copy()


def small(feed):
    """Whether a batch is packed, and of a size that CUDA graphs are for."""
    if "cu_seqlens" not in feed:
        return False
    tokens, sequences = feed["input_ids"].size, feed["cu_seqlens"].size - 1
    return tokens <= GRAPH_TOKENS and tokens % GRAPH_STEP == 0 and sequences <= GRAPH_SEQUENCES


def in_fixed_shapes(feed):
    """The same batch with sequences of no tokens, and answers that nobody asked for, up to GRAPH_SEQUENCES of both.

    A sequence may be as long as all tokens are; the true lengths are in cu_seqlens, on the device.
    """
    tokens, ends, rows = feed["input_ids"].size, feed["cu_seqlens"], feed["row_numbers"]
    ends = np.pad(ends, (0, GRAPH_SEQUENCES + 1 - ends.size), mode="edge")
    rows = np.pad(rows, (0, GRAPH_SEQUENCES - rows.size))
    sequences = np.repeat(np.arange(GRAPH_SEQUENCES), np.diff(ends))
    slots = sequences * tokens + np.arange(tokens) - ends[sequences]
    free = np.ones(GRAPH_SEQUENCES * tokens, bool)
    free[slots] = False
    offset = np.concatenate([slots, np.flatnonzero(free)]).astype(np.int32).reshape(GRAPH_SEQUENCES, tokens)
    return feed | {"cu_seqlens": ends, "row_numbers": rows, "token_offset": offset}


def joined(feed, memory):
    """All arrays one after the other in host memory."""
    flat = memory.take(sum(aligned(array.size) for array in feed.values()))
    first = 0
    for array in feed.values():
        flat[first : first + array.size] = array.ravel()
        first += aligned(array.size)
    return flat


def aligned(count):
    return -(-count // ALIGNMENT) * ALIGNMENT


def run_options(graph):
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options


def succeed(cudart, status):
    if status:
        cudart.cudaGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(f"CUDA failure {status}: {cudart.cudaGetErrorString(status).decode()}")


# What ONNX Runtime, CUDA, cuBLAS and cuDNN say of memory: "Failed to allocate memory for requested buffer of size",
# "Available memory of … is smaller than requested bytes of", "CUDA failure 2: out of memory", "…_STATUS_ALLOC_FAILED".
MEMORY_WORDS = (
    "bad_alloc",
    "out of memory",
    "failed to allocate",
    "cannot allocate",
    "bad allocation",
    "smaller than requested bytes",
    "alloc_failed",
)


def exhausted(error):
    """Whether a smaller batch might have succeeded."""
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS)
