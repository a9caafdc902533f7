"""A gateway with keys over the shared stack's services, and what our own client makes of the same texts."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import siftline
from tests.clients.truth import Truth
from tests.running import gateway
from tests.running.stack import RunningStack

ENVIRONMENT = Path("build/clients-venv")
KEY = "sk-clients"
KEYS = """
[[keys]]
name = "clients"
sha256 = "{digest}"
scopes = ["embed", "rerank", "search"]
"""
TEXTS = ["how are batches formed?", "Batches are formed by tokens.", "日本語のテキスト"]
QUERY = "What is the capital of France?"
PASSAGES = ["Bananas are yellow.", "Paris is the capital of France.", "Berlin is the capital of Germany."]


@pytest.fixture(scope="session")
def environment() -> Path:
    """Where the clients are installed; `make test` does it."""
    if not (ENVIRONMENT / "infinity").is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{ENVIRONMENT} is absent: make test makes it")
        pytest.skip(f"{ENVIRONMENT} is absent: requirements/install-apart makes it")
    return ENVIRONMENT


@pytest.fixture(scope="session")
def truth(shared_stack: RunningStack, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file that the programs read."""
    folder, endpoints = tmp_path_factory.mktemp("clients"), shared_stack.endpoints
    (folder / "keys.toml").write_text(KEYS.format(digest=hashlib.sha256(KEY.encode()).hexdigest()))
    # litellm carries what tiktoken would fetch.
    (vocabulary,) = environment.glob("lib/*/site-packages/litellm/litellm_core_utils/tokenizers/9b5ad71b2ce5302211f9*")
    settings = {"keys_file": folder / "keys.toml", "openai_vocabulary": vocabulary.resolve()}
    with gateway.beside(endpoints, folder, **settings) as (url, running):
        yield _truth(url, running.address, endpoints["gateway_http"], vocabulary, folder)


def _truth(url: str, grpc: str, without_key: str, vocabulary: Path, folder: Path) -> Path:
    with siftline.Client(grpc, api_key=KEY) as client:
        vectors = client.embed(TEXTS)
        ranked = {each.index: each for each in client.rerank(QUERY, PASSAGES)}
    places = range(len(PASSAGES))
    file = folder / "truth.json"
    Truth(
        http=url,
        grpc=grpc,
        without_key=without_key,
        key=KEY,
        texts=TEXTS,
        vectors=vectors.tolist(),
        query=QUERY,
        passages=PASSAGES,
        scores=[ranked[place].score for place in places],
        logits=[ranked[place].logit for place in places],
        vocabulary=str(vocabulary),
    ).write(file)
    return file
