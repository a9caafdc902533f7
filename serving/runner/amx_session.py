"""A session on a CPU that has AMX: layers of the encoder are an operator of ours, the rest is ONNX Runtime's.

Its library was compiled when the model was exported (export/amx) and lies beside the graph.
"""

from pathlib import Path

import onnxruntime as ort

LIBRARY = "siftline_amx.so"
# What the library's instructions ask for.
CPU_FLAGS = ("amx_tile", "amx_bf16", "avx512_bf16", "avx512f", "avx512bw", "avx512dq", "avx512vl")


def refusal() -> str:
    """What this CPU lacks, in words; "" for nothing."""
    cpu = Path("/proc/cpuinfo")
    found = cpu.read_text().split() if cpu.exists() else []
    missing = [flag for flag in CPU_FLAGS if flag not in found]
    return f"this CPU has no {missing[0]}" if missing else ""


def open_with_amx(graph: Path, threads: int) -> tuple[ort.InferenceSession, dict[str, object]]:
    """The session and what it is: {"engine", "precision", "threads"}."""
    reason = refusal()
    if reason:
        raise ValueError(f"the model was exported for CPUs with AMX, and {reason}; export it with --engine onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Plans of memory are kept for each shape, and nearly every batch has a number of tokens of its own.
    options.enable_mem_pattern = False
    options.register_custom_ops_library(str(graph.with_name(LIBRARY)))
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return session, {"engine": "onnxruntime+amx", "precision": "bf16", "threads": threads}
