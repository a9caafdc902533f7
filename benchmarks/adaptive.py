"""What does adaptive reranking lose, and how much does it leave unread? Judged sets through a whole stack.

Each question is searched twice, with and without `adaptive`: nDCG@k of both, the share whose top k are the same, and
the passages that were read.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import siftline
from siftline.evaluation.measures import per_query
from tests.running import judged_set, stack

SETS = {"medquad-en": "test", "squad-dev-en": "test"}


@dataclass(frozen=True)
class Row:
    dataset: str
    passages: int
    queries: int
    depth: int
    top_k: int
    ndcg: float
    ndcg_adaptive: float
    same_top: float
    read: float  # passages per query, of `depth`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--top-k", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, stack.running(Path(folder) / "stack") as running:
        client = siftline.Client(running.endpoints["gateway"]).with_timeout(120)
        for row in measured(client, Path(folder), options):
            print(json.dumps(asdict(row)), flush=True)
        client.close()


def measured(client: siftline.Client, folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    for name, split in SETS.items():
        chosen = folder / name
        judged_set.cut(name, split, chosen, queries=options.queries, passages=options.passages)
        client.create_collection(name)
        records = [json.loads(line) for line in (chosen / "corpus.jsonl").read_text().splitlines()]
        documents = [siftline.Document(one["_id"], one["text"], one.get("title", "")) for one in records]
        for at in range(0, len(documents), 200):
            client.upsert(name, documents[at : at + 200])
        yield compared(client, name, chosen, options)


def compared(client: siftline.Client, name: str, chosen: Path, options: argparse.Namespace) -> Row:
    questions = {
        one["_id"]: one["text"] for one in map(json.loads, (chosen / "queries.jsonl").read_text().splitlines())
    }
    relevant: dict[str, dict[str, int]] = {}
    for line in (chosen / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        relevant.setdefault(query, {})[document] = int(grade)
    rankings: list[dict[str, list[str]]] = [{}, {}]
    read = []
    for query, text in questions.items():
        for adaptive in (False, True):
            options_of = {"top_k": options.top_k, "recall_depth": options.depth, "adaptive": adaptive}
            found = client.search(name, text, **options_of)
            rankings[adaptive][query] = [hit.id for hit in found.hits]
        read.append(found.reranked)
    cut = f"nDCG@{options.top_k}"
    whole, part = (float(per_query(ranking, relevant, [options.top_k])[cut].mean()) for ranking in rankings)
    same = statistics.mean(rankings[0][query] == rankings[1][query] for query in questions)
    counts = (options.passages, len(questions), options.depth, options.top_k)
    return Row(name, *counts, round(whole, 4), round(part, 4), round(same, 3), round(statistics.mean(read), 1))


if __name__ == "__main__":
    main()
