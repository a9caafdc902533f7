"""`local_task.py FOLDER ADDRESS`, in the environment that has mteb: a judged folder as a task; scores as JSON.

Not a test itself: mteb and what it needs stay out of the environment that the tests run in.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mteb
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval

from siftline.evaluation import dataset
from siftline.mteb import SiftlineEncoder, SiftlineSearch


def task(folder: Path) -> Any:
    """An instance of a retrieval task whose only split, test, is that of the folder."""
    judged = dataset.read(folder, "test")

    class LocalRetrieval(AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name="LocalRetrieval",
            description="A judged folder of this machine.",
            dataset={"path": "local", "revision": "1"},
            type="Retrieval",
            category="t2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            modalities=["text"],
        )

        def load_data(self, **_: Any) -> None:
            corpus = [{"id": each.id, "title": each.title, "text": each.text} for each in judged.documents.values()]
            queries = [{"id": query, "text": text} for query, text in judged.queries.items()]
            split = {
                "corpus": Dataset.from_list(corpus),
                "queries": Dataset.from_list(queries),
                "relevant_docs": {query: dict(grades) for query, grades in judged.relevant.items()},
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return LocalRetrieval()


def main() -> None:
    folder, address = Path(sys.argv[1]), sys.argv[2]
    models = {
        "encoder": SiftlineEncoder(address),
        "vector": SiftlineSearch(address, depth=0),
        "reranked": SiftlineSearch(address, depth=20),
    }
    scores = {}
    for name, model in models.items():
        result = mteb.evaluate(model, task(folder), cache=None, show_progress_bar=False, co2_tracker=False)
        [found] = result.task_results[0].scores["test"]
        scores[name] = {measure: found[measure] for measure in ("ndcg_at_10", "mrr_at_10", "recall_at_20")}
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
