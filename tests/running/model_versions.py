"""Other versions of an exported model, made by a small change, for rollouts: right ones, wrong ones, and worse."""

import json
import os
import shutil
from pathlib import Path

import onnx


def copy(model: Path, folder: Path, mark: str) -> Path:
    """The same model under another fingerprint, in `folder`; weights are shared with the original."""
    shutil.copytree(model, folder, copy_function=os.link)
    record = json.loads((folder / "model.json").read_text())
    _replace(folder / "model.json", json.dumps(record | {"digest": f"{mark}{record['digest']}"}))
    return folder


def negated(model: Path, folder: Path, output: str) -> Path:
    """Each of the graph's numbers with the other sign: of vectors another space as good as the first, of scores the
    worst order that there is."""
    copy(model, folder, "negated")
    file = next(folder.glob("repository/*/1/model.onnx"))
    graph = onnx.load(str(file))
    for node in graph.graph.node:
        node.output[:] = [f"{output}_before" if name == output else name for name in node.output]
    graph.graph.node.append(onnx.helper.make_node("Neg", [f"{output}_before"], [output]))
    file.unlink()
    onnx.save(graph, str(file))
    return folder


def marred(model: Path, folder: Path, fault: str) -> Path:
    """With a statement at the head of each computation, for example one that raises."""
    copy(model, folder, "marred")
    file = next(folder.glob("repository/*/1/model.py"))
    line = "        self._check({name"
    text = file.read_text()
    assert text.count(line) == 1
    _replace(file, text.replace(line, f"        {fault}\n{line}"))
    return folder


def _replace(file: Path, text: str) -> None:
    """A new file: the old one is the original's too."""
    file.unlink()
    file.write_text(text)
