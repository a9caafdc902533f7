"""The model card, with every number taken from the files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.evaluation_page import summary

TITLES = {
    "squad-dev-en": "SQuAD 1.1 dev, held-out articles, among all English sets pooled",
    "medquad-en": "MedQuAD test (diseases not trained on)",
    "squadshifts-new-wiki": "SQuADShifts new-wiki (not trained on)",
    "pubmedqa-en": "PubMedQA titles to abstracts (not trained on)",
    "cmrc2018-zh": "CMRC 2018 test, Chinese (not trained on; vocabulary is English)",
}
ENGINES = {
    "GraphEngine": "the exported graph in ONNX Runtime with OpenVINO, bfloat16, as the service runs it",
    "TorchEngine": "the stored weights in torch, bfloat16",
}
TARGETS = {"squad-dev-en": 0.14, "medquad-en": 0.15}

# Why the second stage does not gain everywhere. Numbers are those of the set, and of SQuAD beside it.
REASONS = {
    "pubmedqa-en": """Recall alone has the right abstract first for {recall_first:.0%} of the queries, so there is \
little to gain. The reranker alone lost {alone_lost} of {queries} queries and won {alone_won}. In \
{alone_lost_unsure} of those lost it gave **no candidate** a logit above 0, as for {unsure:.0%} of all queries here \
and {beside[unsure]:.0%} on SQuAD. The abstracts come without their conclusions: to a model that has learnt to look \
for the answer none of them has it, and the small differences between low logits say little. In the fused order \
cosine decides such queries: {fused_lost} lost, {fused_won} won.""",
    "cmrc2018-zh": """It cannot read Chinese: {unknown:.0%} of the tokens are unknown to its vocabulary \
({beside[unknown]:.1%} on SQuAD). The relevant passage's logit passes {passed_logit:.0%} of the other candidates', no \
better than chance, while its cosine passes {passed_cosine:.0%} (SQuAD: {beside[passed_logit]:.0%} and \
{beside[passed_cosine]:.0%}). So the logit is noise here; added to cosine it won {fused_won} of {queries} queries and \
lost {fused_lost}.""",
}

HEAD = """---
license: cc-by-sa-4.0
language: en
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: text-ranking
---

# {name}

The default second stage of siftline: a cross-encoder that reads a query and a passage together and gives one float32
logit, larger for more relevant. The served score is `sigmoid(logit)`; order by the logit. {layers}, hidden size 384,
started from {start} and trained by us on two public question sets.
"""
LAYERS = {3: "Three", 4: "Four", 5: "Five", 6: "Six"}

USE = """## How to use it

- **Folder.** `model.int8.safetensors` holds int8 matrices with one float32 scale per row, and float32 vectors;
  `export/int8_storage.py` (`load_int8_state_dict`) gives back the float32 weights of a `BertForSequenceClassification`
  with one label. Int8 is how the weights are stored, not how they are computed with.
- **Input.** `[CLS] query [SEP] passage [SEP]`, at most {max_length} tokens, cut on the passage side only.
- **Text of a document.** `title + " " + text` where there is a title, else the text alone. It was trained so, and the
  numbers above were measured so: index in the same way.
- **Long passages.** Overlapping windows (room = {max_length} - query - 3, overlap = min(80, room // 4)), score = the
  largest. The table compares this with cutting at {max_length} tokens.
{fusion}- **Vocabulary.** {vocabulary} of the {whole_vocabulary} word pieces of the starting model: the special tokens,
  all single characters, then the most frequent pieces in the English sets and the Python documentation. Text whose
  pieces are all kept is cut as by the full tokenizer; a rarer word falls into smaller pieces.
"""

FUSION = """\
- **Fusion.** Order by `logit + {weight:g} * cosine`, cosine being that of all-MiniLM-L6-v2. The weight was chosen
  once, on {fitted} queries of the training splits whose relevant passages were left out of training, and used for every
  set. With another recall model, fit it anew.
"""

LIMITS = """## Limits

- English only: the vocabulary has single Chinese characters and no more; use a multilingual model for other languages.
- It has learnt from encyclopaedia questions and medical questions. On other kinds of text expect less, and measure.
- The held-out SQuAD articles are new to it, their style is not; each query has one judged paragraph, and now and then
  another one answers too.
- The corpora measured are small (at most about 20,000 passages), and only the first 50 by recall are reranked: what
  recall misses stays lost.
- The reading of text over 256 tokens is by windows, each judged alone.
"""

DATA = """## Training data and licences

| set | split | licence | attribution |
|---|---|---|---|
| SQuAD 1.1 dev | `rest24`: 24 of the 48 articles | CC BY-SA 4.0 | P. Rajpurkar, J. Zhang, K. Lopyrev, P. Liang, \
"SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016); paragraphs from Wikipedia and its contributors |
| MedQuAD | `train`: 80 % of the diseases | CC BY 4.0 | A. Ben Abacha, D. Demner-Fushman, "A Question-Entailment \
Approach to Question Answering" (2019); answers from NIH web sites |

Starting weights: all-MiniLM-L6-v2, Apache-2.0 (sentence-transformers project). Since the weights are learnt from a
CC BY-SA 4.0 text, we offer them under CC BY-SA 4.0. Changes made: the texts were paired with mined negatives and learnt
from; no text of the sets is in this folder. Only measured, never trained on: SQuAD `heldout24`, MedQuAD `test`,
SQuADShifts new-wiki (CC BY 4.0 by its card, no licence file in its repository), PubMedQA (MIT), CMRC 2018
(CC BY-SA 4.0). The vocabulary was counted over the texts of the English sets, the measured ones too (word frequencies
only, no judgements).
"""

RECIPE = """## Recipe

```
{commands}
python -m tools.publish_reranker --data ../shared/data --work build/reranker{earlier}{teacher}
python -m export {name}
python -m tools.evaluate_reranker --data ../shared/data --work build/reranker --graph GRAPH
python -m tools.publish_reranker --card-only
```

GRAPH is the `model.onnx` that the export wrote; without it the stored weights run in torch.

{rows} rows after mining ({sources}): a query, a relevant passage and up to 40 negatives from the first 50
that all-MiniLM-L6-v2 itself finds among the training passages of both sets; passages that a test query is judged on
are not in that pool. A query whose relevant passage is not in those 50 is left out, and so is every query with a
passage of the validation sample (one passage in sixteen). {done} steps of {queries} queries with {negatives} negatives
each, drawn with weight 1 / (rank + 10); sets in equal shares; listwise softmax cross-entropy plus {boundary:g} times a
balanced binary cross-entropy, so that logit 0 is the boundary; AdamW, peak rate {rate:g}, linear warm-up over
{warmup:.0%} and linear fall; bfloat16 arithmetic over float32 weights; pairs up to {lengths} tokens; seed {seed}.
The last 100 steps had a mean loss of {loss:.3f} and ranked the relevant passage first for {first:.1%} of the queries.
{student}{clock}`training_log.json` has the digests of the data files, the versions and the curve.
"""


STUDENT = """\
It began as layers {layers} of the reranker in TEACHER (counted from 0; SHA-256 of its weights {digest}), in each the \
{units:,} feed-forward units that added most to it on training pairs; embeddings and vocabulary are the teacher's and \
were not trained on. The loss has {weight:g} times the mean squared distance to the teacher's logits beside it. """


def write_card(folder: Path, extra_note: str = "") -> None:
    """Writes ``README.md`` of a model folder from its log and, where it exists, its evaluation."""
    log = _read(folder / "training_log.json")
    path = folder / "evaluation.json"
    report = _read(path) if path.exists() else None
    parts = [
        HEAD.format(**_origin(folder, log)),
        extra_note,
        _results(report),
        _served(folder),
        USE.format(**_use(folder, report)),
        LIMITS,
        DATA,
        RECIPE.format(**_origin(folder, log), **_recipe(log)),
    ]
    (folder / "README.md").write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _origin(folder: Path, log: dict[str, Any]) -> dict[str, str]:
    count = _read(folder / "config.json")["num_hidden_layers"]
    start = "a reranker of more layers, which it learnt from," if "layers" in log else "all-MiniLM-L6-v2"
    return {"name": f"siftline-minilm-l{count}-reranker", "layers": f"{LAYERS[count]} layers", "start": start}


def _results(report: dict[str, Any] | None) -> str:
    if report is None:
        return "## Results\n\nNot measured yet.\n"
    rows = "\n".join(_row(result) for result in report["sets"])
    return (
        "## Results\n\n"
        f"MRR@{10} of the first {report['depth']} by cosine of all-MiniLM-L6-v2, exact search; in brackets the paired "
        "difference to recall alone with its 95 % interval (10,000 bootstrap resamples of the queries). Measured on "
        f"{ENGINES[report['engine']]}.\n\n"
        "| set | passages | queries | relevant in top 50 | recall only | cut | windows | windows, fused | "
        "windows minus cut |\n|---|---|---|---|---|---|---|---|---|\n"
        f"{rows}\n\n{_missing(report)}{_verdict(report)}\n{_boundary(report)}\n{_reasons(report)}"
    )


def _row(result: dict[str, Any]) -> str:
    ways = " | ".join(f"{result[way]['mrr']:.3f} ({_change(result[way])})" for way in ("truncated", "windows", "fused"))
    return (
        f"| {TITLES[result['set']]} | {result['passages']:,} | {result['queries']} | {result['in_top_50']:.1%} "
        f"| {result['recall_mrr']:.3f} | {ways} | {_change(result['windows_minus_truncated'])} |"
    )


def _change(numbers: dict[str, float]) -> str:
    return f"{numbers['mean']:+.3f}, {numbers['low']:+.3f} to {numbers['high']:+.3f}"


def _missing(report: dict[str, Any]) -> str:
    measured = {result["set"] for result in report["sets"]}
    missing = ", ".join(name for name in TITLES if name not in measured)
    return f"Not measured with these weights: {missing}.\n\n" if missing else ""


def _verdict(report: dict[str, Any]) -> str:
    """One sentence per target (a gain of the fused order on a set), met or missed, by the measured mean."""
    lines = []
    for result in report["sets"]:
        target, gain = TARGETS.get(result["set"], 0.0), result["fused"]["mean"]
        outcome = "met" if gain >= target else "**missed**"
        lines.append(f"- {result['set']}: target {target:+.2f}, fused {gain:+.3f}: {outcome}.")
    return "Set beforehand, for the fused order:\n\n" + "\n".join(lines) + "\n"


def _boundary(report: dict[str, Any]) -> str:
    shares = "; ".join(
        f"{result['set']} {result['above_zero_relevant']:.0%} and {result['above_zero_other']:.0%}"
        for result in report["sets"]
    )
    return (
        "Share of the relevant and of the other candidates with a logit above 0 (a score above 0.5): "
        f"{shares}. The score separates; it is not a calibrated probability.\n"
    )


def _served(folder: Path) -> str:
    path = folder / "served.json"
    if not path.exists():
        return ""
    return (
        "### Through the running service, hybrid recall too\n\nMRR@10 as `siftline eval` measures it, with "
        "95 % intervals; the second stage scored the first 50. Weight: of the order by `logit + weight * cosine`; 0 is "
        f"the logit alone. More measures are in docs/evaluation.md.\n\n{summary(_read(path))}\n"
    )


def _reasons(report: dict[str, Any]) -> str:
    """For each set on which the logit alone or the fused order does not gain: what was measured about it."""
    results = {result["set"]: result for result in report["sets"]}
    found = [
        f"- {name}: {REASONS[name].format(**result, beside=results['squad-dev-en'])}\n"
        for name, result in results.items()
        if result["windows"]["mean"] < 0 or result["fused"]["mean"] <= 0
    ]
    return "### Where it does not gain, and why\n\n" + "".join(found) if found else ""


def _use(folder: Path, report: dict[str, Any] | None) -> dict[str, Any]:
    config = _read(folder / "config.json")
    return {
        "max_length": _read(folder / "tokenizer_config.json")["model_max_length"],
        "fusion": FUSION.format(weight=report["fusion_weight"], fitted=report["fitted_queries"]) if report else "",
        "vocabulary": f"{config['vocab_size']:,}",
        "whole_vocabulary": "30,522",
    }


def _recipe(log: dict[str, Any]) -> dict[str, Any]:
    recipe, curve = log["recipe"], log["curve"]
    tail = [point for point in curve if point["step"] > curve[-1]["step"] - 100]
    hurried = curve[-1]["step"] < recipe["steps"]
    return {
        "earlier": " --earlier build/earlier" if "earlier" in log else "",
        "teacher": " --teacher TEACHER" if "layers" in log else "",
        "student": _student(log) if "layers" in log else "",
        "commands": "\n".join(_commands(log)),
        "rows": f"{sum(log['rows'].values()):,}",
        "sources": ", ".join(f"{name} {count:,}" for name, count in log["rows"].items()),
        "done": f"{curve[-1]['step']:,}",
        "queries": recipe["queries"],
        "negatives": recipe["negatives"],
        "boundary": recipe["boundary_weight"],
        "rate": recipe["learning_rate"],
        "warmup": recipe["warmup"],
        "lengths": " or ".join(f"{length} ({name})" for name, length in recipe["max_length"].items()),
        "seed": recipe["seed"],
        "loss": sum(point["loss"] for point in tail) / len(tail),
        "first": sum(point["first"] for point in tail) / len(tail),
        "clock": _leg_note(log) + (_clock_note(recipe) if hurried else ""),
    }


def _commands(log: dict[str, Any]) -> list[str]:
    legs = [leg for leg in (log.get("earlier"), log) if leg is not None]
    lines = []
    for number, leg in enumerate(legs):
        recipe, last = leg["recipe"], number == len(legs) - 1
        work = "build/reranker" if last else "build/earlier"
        resume = " \\\n    --resume build/earlier/checkpoint.safetensors" if number else ""
        lines.append(
            f"python -m tools.train_reranker --data ../shared/data --work {work} --seed {recipe['seed']} "
            f"--steps {recipe['steps']} --minutes {recipe['minutes']:g}{resume}{_cut(leg)}"
        )
    return lines


def _cut(log: dict[str, Any]) -> str:
    if "layers" not in log:
        return ""
    layers = ",".join(map(str, log["layers"]))
    return f" \\\n    --teacher TEACHER --layers {layers} --units {log['units']}"


def _student(log: dict[str, Any]) -> str:
    return STUDENT.format(
        layers=", ".join(map(str, log["layers"])),
        digest=log["starting_weights_sha256"],
        units=log["units"],
        weight=log["recipe"]["distillation_weight"],
    )


def _leg_note(log: dict[str, Any]) -> str:
    if "earlier" not in log:
        return ""
    last = log["earlier"]["curve"][-1]
    return (
        f"The run began from the checkpoint of an earlier leg, stopped by hand, after {last['step']} steps of the same "
        f"recipe (seed {log['earlier']['recipe']['seed']}), with fresh optimiser moments. "
    )


def _clock_note(recipe: dict[str, Any]) -> str:
    return (
        f"The clock ({recipe['minutes']:g} minutes on two shared CPU cores) ended the fall of the rate before the "
        f"{recipe['steps']:,} steps planned, so a repeat on another machine takes other steps. "
    )


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
