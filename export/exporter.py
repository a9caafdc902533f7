"""From a model's folder to a verified, servable one, made in a temporary sibling and moved in place at the end."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizers import Tokenizer

from export import loading, tensorrt, tokenizer_file, triton_repository
from export.backbone import vocab_size
from export.catalogue import CatalogueEntry
from export.description import Description, describe, hidden_size
from export.errors import ExportError
from export.freshness import built_from
from export.graph import EmbedderGraph, Graph
from export.graph_writer import PADDED, GraphWriter, Report, Wish
from export.source import Source
from serving.served_model import MODEL_FILE, TOKENIZER_FILE, PairLayout, ServedModel

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def export(
    source: Source | Path,
    out: Path,
    entry: CatalogueEntry | None = None,
    family: str | None = None,
    name: str | None = None,
    report: Report = lambda line: None,
    wish: Wish = PADDED,
) -> ServedModel:
    """Writes the model to the folder `out`/NAME and returns its record; replaces what was there.

    Raises ExportError, leaving `out` as it was, for whatever is wrong with the source.
    """
    source = Source(source, source.name) if isinstance(source, Path) else source
    own = entry.name if entry else source.folder.resolve().name.lower()
    chosen = checked_name(name or own + wish.suffix)
    description = _described(source, chosen, entry, family)
    with replacing(out / chosen) as folder:
        return _build(description, folder, built_from(source, entry, family), wish, report)


def _described(source: Source, name: str, entry: CatalogueEntry | None, family: str | None) -> Description:
    try:
        return describe(source, name, entry, family)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ExportError(f"{source.label}: its JSON files do not hold what a model's do ({found})") from error


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block succeeds, and is gone when it fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        made, old = Path(scratch) / "new", Path(scratch) / "old"
        made.mkdir()
        yield made
        if folder.exists():
            folder.rename(old)
        made.rename(folder)


def _build(description: Description, folder: Path, digest: str, wish: Wish, report: Report) -> ServedModel:
    report(f"{description.name}: reading {description.source.label} as {description.family.name}")
    tokenizer = tokenizer_file.load(description.transformer)
    graph = loading.load(description, tokenizer)
    record = _record(description, tokenizer, digest, graph)
    repository = folder / "repository"
    version = triton_repository.version_folder(repository, description.name)
    record = GraphWriter(graph, tokenizer, version, report).write(record, wish)
    triton_repository.finish(repository, record, graph.outputs, vocab_size(graph.backbone))
    if record.engine == "tensorrt" and record.backend == "python":
        report(f"{record.name}: {tensorrt.build(repository / record.name)}")
    (folder / TOKENIZER_FILE).write_text(tokenizer.to_str(), "utf-8")
    return sealed(record, folder)


def _record(description: Description, tokenizer: Tokenizer, digest: str, graph: Graph) -> ServedModel:
    """The record but for the digest of what is yet to be written."""
    family, head, config = description.family, description.head, description.config
    pair = None if head else _pair(description, tokenizer)
    on_top = family.answer.ends_on_top * len(pair.suffix) if family.answer and pair else 0
    return ServedModel(
        name=description.name,
        task=family.task,
        family=family.name,
        source=description.source.label,
        licence=description.licence,
        digest="",
        built_from=digest,
        max_tokens=description.max_tokens + on_top,
        pad_token_id=tokenizer_file.pad_token_id(description.transformer, config, tokenizer),
        position_offset=description.architecture.position_offset(config),
        inputs=description.inputs,
        dimensions=head.dimensions(hidden_size(config)) if head else 0,
        pooling="+".join(head.pooling) if head else "",
        normalized=head.normalized if head else False,
        pools_prompt=family.pools_prompt,
        prompts=description.prompts,
        default_query_prompt=description.default_query_prompt,
        default_document_prompt=description.default_document_prompt,
        prompt_max_tokens=family.prompt_max_tokens,
        token_outputs=graph.outputs[1:],
        token_dimensions=graph.token_heads.dimensions if isinstance(graph, EmbedderGraph) else 0,
        weightless_ids=tokenizer_file.weightless_ids(description.source, tokenizer) if graph.outputs[1:] else (),
        pair=pair,
    )


def _pair(description: Description, tokenizer: Tokenizer) -> PairLayout:
    family = description.family
    query_tokens = family.query_tokens or int(description.max_tokens * family.query_share)
    if family.answer is not None:
        return tokenizer_file.answer_layout(description.source, tokenizer, family.answer, query_tokens)
    segments = "token_type_ids" in description.inputs
    return tokenizer_file.pair_layout(tokenizer, segments, query_tokens, family.truncation)


def sealed(record: ServedModel, folder: Path) -> ServedModel:
    """The record with its digest, written; it is the last file, so a folder that has it is whole."""
    digest = hashlib.sha256()
    files = [path for kind in ("model.onnx*", "*.so") for path in sorted(folder.glob(f"repository/*/*/{kind}"))]
    for path in [*files, folder / TOKENIZER_FILE]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    sealed = record.model_copy(update={"digest": digest.hexdigest()})
    (folder / MODEL_FILE).write_text(sealed.model_dump_json(indent=2) + "\n", "utf-8")
    return sealed


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ExportError(f"name {name!r}: must match {_NAME.pattern}; give --name")
    return name
