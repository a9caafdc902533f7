"""Sessions on a GPU, through CUDA or TensorRT, with what there is to set."""

import ctypes
import logging

import onnxruntime as ort
from device_session import DeviceSession, succeed
from tensorrt_profiles import profiles, shapes

log = logging.getLogger("siftline.runner")

NVINFER = "libnvinfer.so.10"  # what ONNX Runtime's TensorRT provider is linked against


def open_on_gpu(graph, device, parameters, dims, instances=1):
    """The session and what it is. `parameters` are those of config.pbtxt, `dims` of the outputs.

    ValueError for a device, or libraries, that are not there or not enough.
    """
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise ValueError("a GPU is there, but this ONNX Runtime is built without CUDA: install onnxruntime-gpu")
    ort.preload_dlls()
    try:
        cudart = ctypes.CDLL(f"libcudart.so.{ort.cuda_version.partition('.')[0]}")
    except OSError as error:
        raise ValueError(f"a GPU is there, CUDA is not ({error}): install onnxruntime-gpu[cuda,cudnn]") from error
    cuda = {"device_id": str(device), "arena_extend_strategy": "kSameAsRequested"}
    cuda["gpu_mem_limit"] = str(arena_limit(graph, memory(cudart, device), float(parameters["gpu_memory"]), instances))
    if parameters["engine"] == "tensorrt" and not lacks_tensorrt():
        return open_tensorrt(graph, cuda, parameters, dims, cudart)
    return open_cuda(graph, cuda, parameters, dims, cudart)


def open_cuda(graph, cuda, parameters, dims, cudart):
    own = parameters["graph_precision"]
    if own not in parameters["precision"].split(","):
        raise ValueError(f"precision {parameters['precision']}: on CUDA the graph's own is computed, which is {own}")
    graphs = parameters["layout"] == "packed"
    try:
        session = new_session(graph, [("CUDAExecutionProvider", cuda | {"enable_cuda_graph": str(int(graphs))})])
    except Exception as error:
        if not graphs or "graph capture" not in str(error):
            raise
        log.warning("no CUDA graphs: %s", error)
        session, graphs = new_session(graph, [("CUDAExecutionProvider", cuda)]), False
    facts = {"engine": "onnxruntime+cuda", "precision": own, "threads": 0}
    return DeviceSession(session, dims, "cuda", int(cuda["device_id"]), cudart, graphs), facts


def open_tensorrt(graph, cuda, parameters, dims, cudart):
    """fp16 with normalisation in fp32, or fp32. Engines that are not beside the graph yet are built now: minutes."""
    allowed = parameters["precision"].split(",")
    precision = next((each for each in ("fp16", "fp32") if each in allowed), None)
    if precision is None:
        raise ValueError(f"precision {parameters['precision']}: TensorRT computes in fp16 or fp32")
    inputs = [value.name for value in ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).get_inputs()]
    sessions = {}
    # One for each profile: ONNX Runtime never leaves the first one of an engine (microsoft/onnxruntime, issue 23965).
    for profile in profiles(int(parameters["max_tokens"])):
        settings = tensorrt_settings(graph.parent, cuda, precision, shapes(inputs, profile))
        session = new_session(graph, [("TensorrtExecutionProvider", settings), ("CUDAExecutionProvider", cuda)])
        sessions[profile[2]] = DeviceSession(session, dims, "cuda", int(cuda["device_id"]), cudart)
    return Profiles(sessions), {"engine": "onnxruntime+tensorrt", "precision": precision, "threads": 0}


class Profiles:
    """Sessions by the largest shape (rows, length) that each takes."""

    def __init__(self, sessions):
        self._sessions = sessions

    def get_inputs(self):
        return next(iter(self._sessions.values())).get_inputs()

    def get_outputs(self):
        return next(iter(self._sessions.values())).get_outputs()

    def run_with_ort_values(self, names, feed):
        """MemoryError for more rows than any engine takes."""
        rows, length = feed["input_ids"].shape()
        for (most, longest), session in self._sessions.items():
            if rows <= most and length <= longest:
                return session.run_with_ort_values(names, feed)
        raise MemoryError(f"no TensorRT engine here takes {rows} rows of {length} tokens")


def tensorrt_settings(folder, cuda, precision, shapes):
    """Provider options, as strings. Engines, and the timings that they were chosen by, lie beside the graph."""
    smallest, best, largest = shapes
    return {
        "device_id": cuda["device_id"],
        "trt_fp16_enable": str(int(precision == "fp16")),
        "trt_layer_norm_fp32_fallback": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder / "tensorrt"),
        "trt_engine_cache_prefix": f"{precision}-{largest.rpartition('x')[2]}",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder / "tensorrt"),
        "trt_profile_min_shapes": smallest,
        "trt_profile_opt_shapes": best,
        "trt_profile_max_shapes": largest,
    }


def lacks_tensorrt():
    """What is missing for TensorRT, "" for nothing. Said in the log, because CUDA takes its place."""
    lacking = ""
    if "TensorrtExecutionProvider" not in ort.get_available_providers():
        lacking = "this ONNX Runtime is built without it"
    else:
        try:
            ctypes.CDLL(NVINFER)
        except OSError as error:
            lacking = str(error)
    if lacking:
        log.warning("TensorRT is not here, CUDA computes instead: %s", lacking)
    return lacking


def new_session(graph, providers):
    """On all of these providers; ValueError where ONNX Runtime would go on without, on the CPU."""
    options = ort.SessionOptions()
    options.enable_mem_pattern = False  # one is kept for every shape
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    session = ort.InferenceSession(graph, options, providers=[*providers, "CPUExecutionProvider"], enable_fallback=0)
    for name, _ in providers:
        if name not in session.get_providers():
            raise ValueError(f"ONNX Runtime could not use its {name}; its own message is in the log")
    return session


def dims_of(config):
    """Of each output, as the model's configuration has them."""
    return {output["name"]: [int(n) for n in output["dims"]] for output in config["output"]}


def arena_limit(graph, total, share, instances):
    """Bytes of an instance for what it computes; the weights lie outside of the arena."""
    weights = sum(file.stat().st_size for file in graph.parent.glob("model.onnx*"))
    limit = int(total * share / instances) - weights
    if limit <= 0:
        raise ValueError(f"gpu_memory: {share} of {total} bytes is too little for {instances} times the weights")
    return limit


def memory(cudart, device):
    """Bytes of a GPU."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    succeed(cudart, cudart.cudaSetDevice(device))
    succeed(cudart, cudart.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)))
    return total.value
