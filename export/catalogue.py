"""The catalogue: models/*.yaml, one per model, and models/families/*.yaml, the conventions they follow.

An entry holds only what the model's own files do not say (or say wrongly). No weights, no code.
"""

from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from export.errors import ExportError
from export.source import Source, locate_hub, locate_package
from serving.served_model import Truncation

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
FAMILIES = MODELS / "families"


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Location(_Facts):
    """Where a model comes from: exactly one of the three."""

    package: str = Field("", description="an installed Python package that carries the weights")
    folder: str = Field("", description="a folder, relative to the repository")
    hub: str = Field("", description="an identifier on the Hugging Face hub")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Location":
        if sum(map(bool, (self.package, self.folder, self.hub))) != 1:
            raise ValueError("say exactly one of package, folder and hub")
        return self

    def find(self) -> Source:
        if self.package:
            return locate_package(self.package)
        return Source(ROOT / self.folder, self.folder) if self.folder else locate_hub(self.hub)


class Family(_Facts):
    """Conventions that models share and their files do not record."""

    name: str
    task: Literal["embed", "rerank"]
    summary: str
    # embed
    pooling: str = Field("", description="where the files do not say: cls, mean, max, lasttoken")
    normalized: bool = Field(False, description="where the files do not say")
    prompts: dict[str, str] = {}
    default_query_prompt: str = ""
    default_document_prompt: str = ""
    prompt_max_tokens: dict[str, int] = Field({}, description="of a text with that prompt, where fewer than max_tokens")
    pools_prompt: bool = Field(
        True, description="whether a prompt's tokens are pooled with the text's (not INSTRUCTOR)"
    )
    # rerank
    truncation: Truncation = "longest_first"
    query_share: float = Field(0.75, gt=0, lt=1, description="of max_tokens, at most, for the query")
    query_tokens: int | None = Field(None, ge=1, description="the same as a number")
    answer: "Answer | None" = Field(None, description="for language models that answer yes or no")


class Answer(_Facts):
    """How a language model is asked whether a passage answers a query; the score is a logit after the last token.

    The row is begin + query + middle + passage + end, each of their strings tokenised by itself; {bos} stands for the
    tokenizer's own first token. query and passage are templates with one {}.
    """

    begin: tuple[str, ...] = ()
    query: str = "{}"
    middle: tuple[str, ...] = ()
    passage: str = "{}"
    end: tuple[str, ...] = ()
    yes: str
    no: str = Field(
        "", description="subtracted, so that sigmoid(score) = P(yes); empty where the yes logit is the score"
    )
    max_tokens: int = Field(ge=16, description="of a row, where the catalogue entry does not say")
    passage_tokens: int = Field(0, ge=0, description="at most for the passage; 0 for what fits")
    ends_on_top: int = Field(0, ge=0, description="so many times the end's tokens come on top of max_tokens")


class CatalogueEntry(_Facts):
    """One model. What is not given is read from the model's files, then from its family."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    task: Literal["embed", "rerank"]
    summary: str
    licence: str
    source: Location
    family: str = ""
    default: bool = Field(False, description="exported by `make run`")
    dimensions: int | None = Field(None, ge=1, description="of an embedder's vectors; an export checks it")
    max_tokens: int | None = Field(None, ge=8, description="of a row; within the model's positions")
    prompts: dict[str, str] = {}
    default_query_prompt: str = ""
    default_document_prompt: str = ""


_Record = TypeVar("_Record", CatalogueEntry, Family)


def entries(folder: Path = MODELS) -> dict[str, CatalogueEntry]:
    """All models of the catalogue, by name."""
    return _load_all(folder, CatalogueEntry)


def find(name: str) -> CatalogueEntry | None:
    """The entry of that name, or of that identifier on the hub."""
    known = entries()
    return known.get(name) or next((entry for entry in known.values() if entry.source.hub == name), None)


def families(folder: Path = FAMILIES) -> dict[str, Family]:
    """All families, by name."""
    return _load_all(folder, Family)


def family(name: str) -> Family:
    known = families()
    if name not in known:
        raise ExportError(f"unknown family {name}; there are {', '.join(sorted(known))}")
    return known[name]


def _load_all(folder: Path, kind: type[_Record]) -> dict[str, _Record]:
    records = [_load(path, kind) for path in sorted(folder.glob("*.yaml"))]
    return {record.name: record for record in records}


def _load(path: Path, kind: type[_Record]) -> _Record:
    try:
        record = kind.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise ExportError(f"{path.name}: {_first_line(error)}") from error
    if record.name != path.stem:
        raise ExportError(f"{path.name}: its name is {record.name}, which must be the file's")
    return record


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(str(error).split())
