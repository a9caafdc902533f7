"""Which family a model's files show, and whether they bear out the one that it is said to be of."""

from typing import Any

from export import catalogue, modules
from export.catalogue import Family
from export.errors import ExportError
from export.source import CONFIG, MODULES, Source

_CLASSIFIER, _LANGUAGE_MODEL = "ForSequenceClassification", "ForCausalLM"


def recognize(source: Source) -> str:
    """The family that the files show; ExportError when they leave it open."""
    if source.has(MODULES):
        return "sentence-transformers"
    names = source.json(CONFIG).get("architectures") or ["(none)"]
    if names[0].startswith("EncT5"):
        return "tart-full"
    if names[0].endswith("ForSequenceClassification"):
        return "cross-encoder"
    raise ExportError(
        f"{source.label}: {names[0]} without {MODULES} does not say how it pools; give --as FAMILY, one of "
        + ", ".join(sorted(catalogue.families()))
    )


def check_family(source: Source, family: Family, config: dict[str, Any]) -> None:
    """ExportError when the files say that the model does something else than the family's models do."""
    found = (config.get("architectures") or [""])[0]
    if family.task == "embed" and found.endswith(_CLASSIFIER):
        raise _contradiction(source, family, f"embedders, but {CONFIG} says {found}, a cross-encoder")
    if family.task == "rerank" and _pools(source):
        raise _contradiction(source, family, f"rerankers, but {MODULES} makes an embedder of it")
    if family.answer is not None and not found.endswith(_LANGUAGE_MODEL):
        raise _contradiction(source, family, f"language models that answer, but {CONFIG} says {found or 'nothing'}")
    if family.task == "rerank" and family.answer is None and not found.endswith(_CLASSIFIER):
        raise _contradiction(source, family, f"classifiers of pairs, but {CONFIG} says {found or 'nothing'}")
    if family.task == "rerank" and len(config.get("id2label") or "01") > 2:
        raise ExportError(
            f"{source.label}: {CONFIG} names {len(config['id2label'])} labels; a reranker has one, or two"
        )
    if family.pooling and _pools(source):
        _check_pooling(source, family)


def _pools(source: Source) -> bool:
    return source.has(MODULES) and any(str(module["type"]).endswith(".Pooling") for module in source.json(MODULES))


def _check_pooling(source: Source, family: Family) -> None:
    pooling = "+".join(modules.read(source).pooling)
    if pooling != family.pooling:
        raise _contradiction(source, family, f"models that pool by {family.pooling}, but {MODULES} says {pooling}")


def _contradiction(source: Source, family: Family, what: str) -> ExportError:
    return ExportError(f"{source.label}: {family.name} is a family of {what}; leave --as out, or name the right one")
