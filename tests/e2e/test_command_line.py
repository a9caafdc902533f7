"""`siftline index`, `search`, `status`, `models` against the whole stack."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import siftline
from tests.running.stack import RunningStack, eventually

DOCUMENTS = 2000


def write_corpus(file: Path, count: int) -> None:
    lines = [
        {
            "_id": f"d{number}",
            "title": f"Note {number}",
            "text": f"Note number {number} is about subject {number % 97}.",
        }
        for number in range(count)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(name="client")
def _client(shared_stack: RunningStack) -> siftline.Client:
    return siftline.Client(shared_stack.endpoints["gateway"])


@pytest.mark.timeout(600)
def test_killed_index_run_is_continued_with_nothing_twice_and_nothing_missing(
    shared_stack: RunningStack, client: siftline.Client, tmp_path: Path
) -> None:
    corpus = tmp_path / "notes.jsonl"
    write_corpus(corpus, DOCUMENTS)
    command = (sys.executable, "-m", "siftline.cli", "index", str(corpus), "--json")
    first = subprocess.Popen(command, env=shared_stack.environment, stdout=subprocess.DEVNULL)

    def some_are_there() -> bool:
        return "notes" in {each.name for each in client.list_collections()} and client.count("notes") > 200

    eventually(some_are_there, 120)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    held = client.count("notes")
    assert held < DOCUMENTS, "the run was over before it was killed"

    again = printed(shared_stack.siftline("index", str(corpus), "--json"))
    assert again["written"] + again["unchanged"] == DOCUMENTS
    assert again["unchanged"] >= held - 256, "what was there was written again"
    assert client.count("notes") == DOCUMENTS
    missing = {f"d{number}" for number in range(DOCUMENTS)} - {
        document.id for document in client.get("notes", [f"d{number}" for number in range(DOCUMENTS)])
    }
    assert not missing

    third = printed(shared_stack.siftline("index", str(corpus), "--json"))
    assert (third["written"], third["unchanged"]) == (0, DOCUMENTS)


def test_changed_document_is_written_again_and_no_other(
    shared_stack: RunningStack, client: siftline.Client, tmp_path: Path
) -> None:
    corpus = tmp_path / "changing.jsonl"
    write_corpus(corpus, 70)
    assert printed(shared_stack.siftline("index", str(corpus), "--json"))["written"] == 70
    corpus.write_text(corpus.read_text().replace("Note number 5 ", "Note number five "))
    assert printed(shared_stack.siftline("index", str(corpus), "--json"))["written"] == 1
    assert client.get("changing", ["d5"])[0].text.startswith("Note number five")


def test_folder_is_cut_into_passages_and_found(shared_stack: RunningStack, tmp_path: Path) -> None:
    folder = tmp_path / "manual"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "boats.md").write_text("# Boats\n\nA keel keeps a sailing boat from drifting sideways.\n")
    (folder / "bread.txt").write_text("Bread\n\nYeast makes the dough rise.\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert printed(shared_stack.siftline("index", str(folder), "--json"))["written"] == 2
    found = printed(shared_stack.siftline("search", "manual", "why does a ship not slide to the side?", "--json"))
    best = found["hits"][0]
    assert (best["id"], best["title"], best["metadata"]) == ("deep/boats.md#1", "Boats", {"file": "deep/boats.md"})
    assert best["rerank_score"] is not None
    assert found["timings"]["total_us"] > 0


def test_long_document_is_found_by_its_best_chunk(shared_stack: RunningStack, tmp_path: Path) -> None:
    """Cut by the tokens of the real model, and all of it kept."""
    corpus = tmp_path / "long.jsonl"
    lines = [f"Paragraph {n} tells of nothing but the number {n}." for n in range(60)]
    lines[40] = "A keel keeps a sailing boat from drifting sideways."
    corpus.write_text(json.dumps({"_id": "book", "text": "\n".join(lines)}) + "\n")
    chunks = ("index", str(corpus), "--chunk-tokens", "64", "--chunk-overlap", "16", "--json")
    assert printed(shared_stack.siftline(*chunks))["tokens"] > 0
    again = printed(shared_stack.siftline(*chunks))
    assert (again["written"], again["tokens"]) == (0, 0), "what is stored so already is left alone"
    query = ("search", "long", "why does a ship not slide to the side?", "--collapse", "parent", "--json")
    (best,) = printed(shared_stack.siftline(*query))["hits"]
    assert "keel" in best["text"]
    assert best["metadata"]["parent"] == "book"
    assert best["id"] == f"book#{best['metadata']['chunk']:.0f}"
    assert best["metadata"]["chunks"] > 10


def test_search_prints_a_table_with_the_time_of_each_stage(shared_stack: RunningStack, tmp_path: Path) -> None:
    corpus = tmp_path / "table.jsonl"
    write_corpus(corpus, 5)
    shared_stack.siftline("index", str(corpus))
    shown = shared_stack.siftline("search", "table", "subject 3", "--top-k", "2")
    assert shown.returncode == 0, shown.stderr
    for word in ("rank", "recall", "rerank", "title", "snippet", "Note 3", "embed", "total", "ms"):
        assert word in shown.stdout


def test_status_and_models_tell_what_runs(shared_stack: RunningStack) -> None:
    status = printed(shared_stack.siftline("status", "--json"))
    assert status["serving"] is True
    models = printed(shared_stack.siftline("models", "--json"))
    assert models["in_service"] == status["models"]
    assert models["in_service"]["embed"]["dimensions"] == 384
    listed = {model["name"]: model for model in models["catalogue"]}
    assert listed["all-minilm-l6-v2"]["exported"]
    assert listed["bge-m3"] | {"summary": ""} == {
        "name": "bge-m3",
        "task": "embed",
        "family": "sentence-transformers",
        "summary": "",
        "dimensions": 1024,
        "max_tokens": 8192,
        "licence": "MIT",
        "exported": False,
    }
    table = shared_stack.siftline("models").stdout.splitlines()
    assert any(line.startswith("in service  all-minilm-l6-v2") for line in table)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "absent", "anything"), "absent"),
        (("index", "/nowhere.jsonl"), "/nowhere.jsonl: no such file or folder"),
        (("search", "Bad Name", "anything"), "collection"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(
    shared_stack: RunningStack, arguments: tuple[str, ...], words: str
) -> None:
    done = shared_stack.siftline(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.startswith("siftline: ")
    assert done.stderr.count("\n") == 1


def test_line_that_is_no_document_is_named(shared_stack: RunningStack, tmp_path: Path) -> None:
    corpus = tmp_path / "broken.jsonl"
    corpus.write_text('{"_id": "1", "text": "fine"}\n{"_id": "2"}\n')
    done = shared_stack.siftline("index", str(corpus))
    assert done.returncode == 1
    assert f"{corpus}:2: expected an object" in done.stderr


def test_server_that_is_absent_is_told_quickly() -> None:
    started = time.monotonic()
    command = (sys.executable, "-m", "siftline.cli", "status", "--address=127.0.0.1:1")
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert "not serving" in done.stdout
    assert time.monotonic() - started < 30
