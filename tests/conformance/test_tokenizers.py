"""The tokenizer.json that an export writes gives the ids of the families' own tokenizers, text by text."""

import gzip
import json
from functools import cache
from typing import Any

import pytest

from export import tokenizer_file
from export.source import Source
from tests.conformance import kit
from tests.conformance.cases import MODELS

# Made with transformers 4.36, 4.33 and 5.23.
VERSIONS = ("bce", "instr", "data")
MAX_TOKENS = 512


@cache
def ids(version: str) -> dict[str, Any]:
    kit.require()
    found: dict[str, Any] = json.loads(gzip.decompress((kit.ROOT / "tok" / f"ids-{version}.json.gz").read_bytes()))
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("model", [model.name for model in MODELS.values() if model.make is None])
def test_ids(model: str, version: str) -> None:
    expected = ids(version)[model]
    if "cls" not in expected:
        pytest.skip(f"the transformers of {version} has no tokenizer for {model}")
    tokenizer = tokenizer_file.load(Source(kit.ROOT / "models" / model, model))
    for text, wanted in zip(kit.inputs()["texts"], expected["texts"], strict=True):
        assert _cut(tokenizer.encode(text).ids, len(wanted)) == wanted, text[:80]
    for (query, passage), wanted in zip(kit.inputs()["pairs"], expected["pairs"], strict=True):
        found = tokenizer.encode(query, passage).ids
        if len(found) <= MAX_TOKENS:
            assert found == wanted, (query[:40], passage[:40])


def _cut(found: list[int], length: int) -> list[int]:
    """As a tokenizer with truncation: the special tokens at the end stay."""
    return found if len(found) == length else [*found[: length - 1], found[-1]]
