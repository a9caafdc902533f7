"""Triton python-backend model: runs one ONNX graph through ONNX Runtime, one request = one ready batch.

The exporter copies this folder's files into every model repository, beside 1/model.onnx; they therefore import nothing
else of ours. Configuration parameters (all strings):

    precision        one or more of bf16, fp16, fp32, with commas between: the first that is computed in here (fp32
                     always, the others by OpenVINO where the CPU does). An instance that Triton places on a GPU
                     computes there, in the graph's own
    graph_precision  that of the graph's weights
    threads          threads of this instance (0: as many as the engine likes)
    vocab_size       token ids are 0 .. vocab_size - 1
    max_tokens       longest row
    engine           onnxruntime; amx: our operators on a CPU that has it; tensorrt: on a GPU, where its libraries are,
                     CUDA where they are not
    gpu_memory       share of a GPU's memory for all instances on it
    layout           padded: inputs are int32 [B, L] matrices of one shape. packed: those of serving/batching/packing.py

Outputs are those of the graph. One more, "engine", is uint8 [n]: JSON {"engine", "precision", "threads"}. An error
whose message starts with OUT_OF_MEMORY may succeed with a smaller batch. Ids and lengths are checked here because the
engine would read outside its tables.
"""

import functools
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils
from device_session import exhausted

ENGINE_OUTPUT = "engine"
# What a CPU must have to compute in a type. Without, OpenVINO would take fp32 and not say so.
CPU_FLAGS = {"bf16": ("amx_bf16", "avx512_bf16"), "fp16": ("amx_fp16", "avx512_fp16")}
# OpenVINO keeps compiled primitives for each shape that it has met. Its own limit, 5000, let the process grow by
# 100 MB every hundred shapes; 256 is as fast and the process stays where it is.
SHAPE_CACHE = "256"


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in config["parameters"].items()}
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._limits = int(parameters["vocab_size"]), int(parameters["max_tokens"])
        self._check = {"padded": check, "packed": check_packed}[parameters["layout"]]
        if args["model_instance_kind"] == "GPU":
            from gpu_session import dims_of, open_on_gpu

            device = int(args["model_instance_device_id"])
            instances = int(config["instance_group"][0]["count"])
            self._session, facts = open_on_gpu(graph, device, parameters, dims_of(config), instances)
        elif parameters["engine"] == "amx":
            from amx_session import open_with_amx

            self._session, facts = open_with_amx(graph, int(parameters["threads"]))
        else:
            self._session, facts = open_session(graph, parameters["precision"], int(parameters["threads"]))
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._engine = ort.OrtValue.ortvalue_from_numpy(np.frombuffer(json.dumps(facts).encode(), np.uint8).copy())

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def finalize(self):
        self._session = None

    def _answer(self, request):
        try:
            return pb_utils.InferenceResponse([give(name, value) for name, value in self._compute(request)])
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(describe(error)))

    def _compute(self, request):
        feed = {name: take(pb_utils.get_input_tensor_by_name(request, name)) for name in self._inputs}
        self._check({name: value.numpy() for name, value in feed.items()}, *self._limits)
        wanted = list(request.requested_output_names())
        computed = [name for name in wanted if name != ENGINE_OUTPUT]
        # Also for "engine" alone: whoever asks wants to know that an inference succeeds.
        values = self._session.run_with_ort_values(computed or self._outputs, feed)
        found = dict(zip(computed, values, strict=False)) | {ENGINE_OUTPUT: self._engine}
        return [(name, found[name]) for name in wanted]


# Triton's stub was built against NumPy 1 and takes the arrays of NumPy 2 for zeros. There tensors pass through DLPack;
# with NumPy 1 they do not, because that way the stub for Python 3.11 overruns its stack.
THROUGH_DLPACK = int(np.__version__.partition(".")[0]) > 1


def take(tensor):
    """Triton's tensor as one of ONNX Runtime."""
    if THROUGH_DLPACK:
        return ort.OrtValue.from_dlpack(tensor.to_dlpack())
    return ort.OrtValue.ortvalue_from_numpy(tensor.as_numpy())


def give(name, value):
    """ONNX Runtime's tensor, or an array, as one of Triton."""
    return pb_utils.Tensor.from_dlpack(name, value) if THROUGH_DLPACK else pb_utils.Tensor(name, np.asarray(value))


def check(feed, vocab_size, max_tokens):
    """Raises ValueError for what the graph must not see."""
    shapes = {array.shape for array in feed.values()}
    ids = feed["input_ids"]
    if len(shapes) != 1 or ids.ndim != 2 or not ids.size:
        raise ValueError(f"inputs must be non-empty matrices of one shape, got {sorted(shapes)}")
    check_limits(ids, ids.shape[1], vocab_size, max_tokens)


def check_packed(feed, vocab_size, max_tokens):
    """The same for tokens of all rows one after the other. What nobody asks an answer of may be of any length."""
    ids, ends, rows = (feed[name] for name in ("input_ids", "cu_seqlens", "row_numbers"))
    lengths = np.diff(ends)
    shapes = {feed[name].shape for name in feed.keys() & {"input_ids", "position_ids", "token_type_ids", "token_rows"}}
    whole = ids.size and rows.size and lengths.size and ends[0] == 0 and ends[-1] == ids.size and lengths.min() > 0
    if not whole or shapes != {(ids.size,)} or ("token_offset" in feed and not offset_fits(feed, lengths)):
        raise ValueError("cu_seqlens must rise from 0 to the number of tokens, and all inputs go by it")
    if rows.min() < 0 or rows.max() >= lengths.size:
        raise ValueError(f"row_numbers must be 0..{lengths.size - 1}, got {rows.min()}..{rows.max()}")
    check_limits(ids, lengths[rows].max(), vocab_size, max_tokens)


def offset_fits(feed, lengths):
    return feed["token_offset"].shape == (lengths.size, lengths.max())


def check_limits(ids, longest, vocab_size, max_tokens):
    if longest > max_tokens:
        raise ValueError(f"input_ids: rows of {longest} tokens, the limit is {max_tokens}")
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise ValueError(f"input_ids: ids must be 0..{vocab_size - 1}, got {ids.min()}..{ids.max()}")


def describe(error):
    text = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
    return f"OUT_OF_MEMORY {text}" if exhausted(error) else text


def open_session(graph, precision, threads):
    """The session and what it is: {"engine", "precision", "threads"}."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # A thread that spins takes a core from the other instances and from the service.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    device = openvino_device()
    precision = resolve(precision, device is not None)
    if device is not None:
        options.add_provider_for_devices([device], {"load_config": json.dumps(openvino_settings(precision, threads))})
    engine = "onnxruntime+openvino" if device is not None else "onnxruntime+cpu"
    try:
        session = ort.InferenceSession(str(graph), options)
    except Exception as error:
        if "PackedMultiHeadAttention" in str(error):
            raise ValueError("a model in the packed layout needs a GPU; export it with --layout padded") from error
        raise
    return session, {"engine": engine, "precision": precision, "threads": threads}


@functools.cache
def openvino_device():
    """The CPU as the OpenVINO plugin offers it, or None where the plugin is not installed."""
    try:
        import onnxruntime_ep_openvino as plugin
    except ImportError:
        return None
    ort.register_execution_provider_library("openvino", plugin.get_library_path())
    found = [d for d in ort.get_ep_devices() if d.ep_name == plugin.get_ep_name()]
    return next((d for d in found if d.device.type == ort.OrtHardwareDeviceType.CPU), None)


def openvino_settings(precision, threads):
    settings = {
        "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}[precision],
        "CPU_RUNTIME_CACHE_CAPACITY": SHAPE_CACHE,
        # Pinned, the first threads of two instances would share one core.
        "ENABLE_CPU_PINNING": "NO",
        "NUM_STREAMS": "1",
    }
    return {"CPU": settings | ({"INFERENCE_NUM_THREADS": str(threads)} if threads else {})}


def resolve(precisions, openvino):
    wished = precisions.split(",")
    found = next((each for each in wished if each not in CPU_FLAGS or (openvino and computes_in(each))), None)
    if found is None and not openvino:
        raise ValueError(f"precision {precisions} needs onnxruntime-ep-openvino: ONNX Runtime's CPU kernels have none")
    if found is None:
        raise ValueError(f"precision {precisions} needs a CPU that has {' or '.join(CPU_FLAGS[wished[0]])}")
    return found


def computes_in(precision):
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    return any(flag in flags for flag in CPU_FLAGS[precision])
