"""All facts of one model, gathered from its own files, its family and its catalogue entry before anything is loaded."""

from dataclasses import dataclass
from typing import Any

from export import architecture, catalogue, modules
from export.architecture import Architecture
from export.catalogue import CatalogueEntry, Family
from export.errors import ExportError
from export.modules import Head
from export.recognition import check_family, recognize
from export.source import CONFIG, MODULES, Source

_SENTENCE_CONFIGS = ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlnet_config.json")
# transformers writes 1e30 where a tokenizer has no limit.
_NO_LIMIT = 1_000_000
_FALLBACK_TOKENS = 512
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True)
class Description:
    """`source` is the whole folder, `transformer` the part of it with config.json and the weights."""

    name: str
    source: Source
    transformer: Source
    config: dict[str, Any]
    architecture: Architecture
    family: Family
    licence: str
    max_tokens: int
    prompts: dict[str, str]
    default_query_prompt: str
    default_document_prompt: str
    head: Head | None  # embedders only

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs of the graph."""
        mask = () if self.family.pools_prompt else ("pooling_mask",)
        return (*self.architecture.inputs(self.config), *mask)


def describe(source: Source, name: str, entry: CatalogueEntry | None, family_name: str | None) -> Description:
    """ExportError when the files contradict each other or do not say enough."""
    family = catalogue.family(family_name or (entry and entry.family) or recognize(source))
    head = _head(source, family) if family.task == "embed" else None
    transformer = source.inside(head.transformer) if head else source
    config = transformer.json(CONFIG)
    check_family(source, family, config)
    arch = architecture.of(transformer, config)
    if head is not None and source.has(MODULES):
        modules.check_dimensions(source, head, hidden_size(config))
    if head is not None and entry is not None:
        _check_dimensions(entry, head.dimensions(hidden_size(config)))
    prompts = _prompts(source, family, entry)
    return Description(
        name=name,
        source=source,
        transformer=transformer,
        config=config,
        architecture=arch,
        family=family,
        licence=entry.licence if entry else _licence(source),
        max_tokens=_max_tokens(transformer, config, arch, family, entry),
        prompts=prompts,
        default_query_prompt=_default(
            prompts, entry.default_query_prompt if entry else "", family.default_query_prompt, ("query",)
        ),
        default_document_prompt=_default(
            prompts, entry.default_document_prompt if entry else "", family.default_document_prompt, _DOCUMENT_PROMPTS
        ),
        head=head,
    )


def hidden_size(config: dict[str, Any]) -> int:
    """Width of the last hidden state."""
    for key in ("hidden_size", "d_model", "dim"):
        if key in config:
            return int(config[key])
    raise ExportError(f"{CONFIG} names no hidden size")


def _head(source: Source, family: Family) -> Head:
    if source.has(MODULES):
        return modules.read(source)
    if not family.pooling:
        raise ExportError(f"{source.label}: no {MODULES}, and the family {family.name} does not fix the pooling")
    return Head("", (family.pooling,), (), family.normalized)


def _check_dimensions(entry: CatalogueEntry, real: int) -> None:
    if entry.dimensions not in (None, real):
        raise ExportError(f"{entry.name}: the catalogue says {entry.dimensions} dimensions, but the model gives {real}")


def _max_tokens(
    source: Source, config: dict[str, Any], arch: Architecture, family: Family, entry: CatalogueEntry | None
) -> int:
    """What the catalogue says, else the family, sentence-transformers' config, the tokenizer; within the positions."""
    wishes = [entry.max_tokens if entry else None, family.answer.max_tokens if family.answer else None]
    wishes += [source.optional_json(name).get("max_seq_length") for name in _SENTENCE_CONFIGS]
    wishes += [source.optional_json("tokenizer_config.json").get("model_max_length")]
    limit = architecture.longest_row(config, arch)
    wish = next((int(w) for w in wishes if w and w < _NO_LIMIT), limit or _FALLBACK_TOKENS)
    if limit is not None and entry and entry.max_tokens and entry.max_tokens > limit:
        raise ExportError(f"{source.label}: max_tokens {entry.max_tokens}, but the model has {limit} positions")
    return min(wish, limit or wish)


def _prompts(source: Source, family: Family, entry: CatalogueEntry | None) -> dict[str, str]:
    shipped = source.optional_json("config_sentence_transformers.json").get("prompts") or {}
    return {**family.prompts, **{k: v for k, v in shipped.items() if v}, **(entry.prompts if entry else {})}


def _default(prompts: dict[str, str], wish: str, fallback: str, customary: tuple[str, ...]) -> str:
    """The name of the prompt of one side, "" for none."""
    chosen = wish or fallback or next((name for name in customary if name in prompts), "")
    if chosen and chosen not in prompts:
        raise ExportError(f"default prompt {chosen}: not among {', '.join(sorted(prompts)) or 'any prompts'}")
    return chosen


def _licence(source: Source) -> str:
    """The licence in the front matter of the model card, or "unknown"."""
    card = source.folder / "README.md"
    lines = card.read_text("utf-8", errors="replace").splitlines()[:80] if card.is_file() else []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("license:")), "")
    return found or "unknown"
