"""The parts of the reranker's training and measuring that a mistake would pass through unseen."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tokenizers import Tokenizer  # noqa: E402
from transformers import BertConfig, BertForSequenceClassification  # noqa: E402

from tools.reranker_training.card import write_card  # noqa: E402
from tools.reranker_training.judged_set import document_text  # noqa: E402
from tools.reranker_training.metrics import Candidates, fused, paired_difference, reciprocal_rank  # noqa: E402
from tools.reranker_training.mining import TrainingRow  # noqa: E402
from tools.reranker_training.objective import distillation_loss, ranking_loss  # noqa: E402
from tools.reranker_training.pairs import Pair, PairBuilder, window_spans  # noqa: E402
from tools.reranker_training.reasons import facts  # noqa: E402
from tools.reranker_training.student import student_of, unit_importance  # noqa: E402
from tools.reranker_training.training import (  # noqa: E402
    Recipe,
    Trainer,
    bucketed,
    draw_negatives,
    learning_rate_factor,
)
from tools.reranker_training.vocabulary import reduced  # noqa: E402

WEIGHTS = Path(__file__).parents[2] / "weights" / "siftline-minilm-l6-reranker"


def word_piece_tokenizer(pieces: list[str]) -> Tokenizer:
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate([*specials, *pieces])}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": vocabulary}
    whole = {"version": "1.0", "pre_tokenizer": {"type": "BertPreTokenizer"}, "added_tokens": [], "model": model}
    whole["model"] = model | {"max_input_chars_per_word": 100}
    return Tokenizer.from_str(json.dumps(whole))


def test_a_document_without_title_is_its_text() -> None:
    assert document_text("", "body") == "body"
    assert document_text("Title", "body") == "Title body"


@pytest.mark.parametrize(("passage", "expected"), [(50, 1), (90, 1), (91, 2), (200, 3)])
def test_windows_cover_the_passage_with_the_stated_overlap(passage: int, expected: int) -> None:
    room = 103 - 10 - 3
    spans = window_spans(query_tokens=10, passage_tokens=passage, max_length=103)
    assert len(spans) == expected
    assert spans[0][0] == 0
    assert spans[-1][1] == passage
    assert all(end - start <= room for start, end in spans)
    assert all(left[1] - right[0] == room // 4 for left, right in zip(spans, spans[1:], strict=False))


def test_overlap_is_never_more_than_eighty() -> None:
    (_, end), (start, _), *_ = window_spans(query_tokens=20, passage_tokens=1000, max_length=512)
    assert end - start == 80


def test_a_pair_is_assembled_with_types_and_padding() -> None:
    builder = PairBuilder(word_piece_tokenizer(["a", "b", "c"]))
    batch = builder.batch([builder.pair("a", "b c", 16), Pair((5,), (6,))])
    assert batch.input_ids.shape == (2, 32)
    assert batch.input_ids[0, :7].tolist() == [2, 5, 3, 6, 7, 3, 0]
    assert batch.token_type_ids[0, :7].tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert batch.attention_mask.sum(dim=1).tolist() == [6, 5]


def test_only_the_passage_is_cut() -> None:
    pair = PairBuilder(word_piece_tokenizer(["a", "b"])).pair("a a a", "b b b b b", 8)
    assert (len(pair.query), len(pair.passage)) == (3, 2)


def test_bucketing_gives_scores_back_in_order() -> None:
    pairs = [Pair((1,) * length, ()) for length in (9, 2, 7, 2, 5)]
    scores = bucketed(pairs, 3, lambda batch: torch.tensor([float(len(pair.query)) for pair in batch]))
    assert scores.tolist() == [9, 2, 7, 2, 5]


def test_loss_falls_as_the_relevant_passage_rises_and_sees_the_level() -> None:
    level = torch.zeros(2, 4)
    raised = torch.tensor([[3.0, 0, 0, 0]] * 2)
    assert ranking_loss(raised, 0.0) < ranking_loss(level, 0.0)
    assert ranking_loss(level, 0.0).item() == pytest.approx(math.log(4))
    assert ranking_loss(raised + 5, 0.0).item() == pytest.approx(ranking_loss(raised, 0.0).item(), abs=1e-6)
    assert ranking_loss(raised + 5, 0.3) > ranking_loss(raised - 1, 0.3)


def test_what_the_teacher_says_is_learnt_with_its_level() -> None:
    taught = torch.tensor([[4.0, -3.0]])
    assert distillation_loss(taught, taught).item() == 0
    assert distillation_loss(taught + 2, taught).item() == 4


def tiny_model(layers: int = 3) -> BertForSequenceClassification:
    """Of random weights, the same ones each time; without dropout."""
    torch.manual_seed(1)
    sizes = {"vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 6, "num_labels": 1}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.5}
    return BertForSequenceClassification(BertConfig(num_hidden_layers=layers, **sizes, **off)).eval()


def tiny_builder() -> PairBuilder:
    return PairBuilder(word_piece_tokenizer(["a", "b", "c", "d"]))


def tiny_logits(model: BertForSequenceClassification) -> torch.Tensor:
    batch = tiny_builder().batch([Pair((5,), (6, 7)), Pair((6,), (8, 5, 5))])
    return model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits[:, 0].detach()


def test_a_student_that_keeps_everything_is_its_teacher() -> None:
    teacher = tiny_model()
    batch = tiny_builder().batch([Pair((5,), (6, 7))])
    student = student_of(teacher, (0, 1, 2), 6, unit_importance(teacher, [batch])).eval()
    assert torch.equal(tiny_logits(student), tiny_logits(teacher))


def test_a_student_keeps_the_layers_it_is_told_and_the_units_that_do_something() -> None:
    """Units that nothing reads are no loss, and a layer that is left out is another model's."""
    teacher = tiny_model()
    for layer in teacher.bert.encoder.layer:
        layer.output.dense.weight.data[:, ::2] = 0
    importance = unit_importance(teacher, [tiny_builder().batch([Pair((5,), (6, 7))])])
    whole, cut = (student_of(teacher, (0, 2), units, importance).eval() for units in (6, 3))
    assert (cut.config.num_hidden_layers, cut.config.intermediate_size) == (2, 3)
    assert torch.allclose(tiny_logits(cut), tiny_logits(whole), atol=1e-6)
    assert not torch.allclose(tiny_logits(cut), tiny_logits(teacher), atol=1e-3)
    assert not any(parameter.requires_grad for parameter in cut.bert.embeddings.parameters())


def trained(tmp_path: Path, cores: int) -> dict[str, torch.Tensor]:
    """The weights after two steps of four queries."""
    from safetensors.torch import load_file

    rows = [TrainingRow("set", query, "a b", ("c", "d d")) for query in "abcd"]
    recipe = Recipe(3, 2, 9.0, 4, 2, 1e-2, 0.0, 0.0, 1.0, 0.3, 2, {"set": 16}, {"set": 1.0}, distillation_weight=0.5)
    teachers = [lambda batch: np.full(len(batch.input_ids), 2.0, np.float32)] * cores
    tmp_path.mkdir()
    Trainer(tiny_model(), tiny_builder(), recipe, cores, teachers).run(rows, tmp_path, 2)
    return load_file(tmp_path / "checkpoint.safetensors")


def test_two_cores_train_what_one_does(tmp_path: Path) -> None:
    """But for what bfloat16 makes of sums in another order."""
    one, two, before = trained(tmp_path / "one", 1), trained(tmp_path / "two", 2), tiny_model().state_dict()
    name = "classifier.weight"
    assert (one[name] - before[name]).abs().max() > 5e-3
    assert torch.allclose(one[name], two[name], atol=2e-3)


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    factors = [learning_rate_factor(progress, 0.1) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.0])


def test_higher_ranked_negatives_are_drawn_more_often() -> None:
    row = TrainingRow("set", "query", "positive", tuple(map(str, range(40))))
    draw = random.Random(3)
    drawn = Counter(negative for _ in range(2000) for negative in draw_negatives(row, 5, draw))
    assert sum(drawn.values()) == 10_000
    assert drawn["0"] > 2 * drawn["39"] > 0


def test_reciprocal_rank_stops_at_ten_and_keeps_recall_order_on_ties() -> None:
    relevant = np.arange(12) == 10
    assert reciprocal_rank(np.arange(12.0), relevant) == 0.5
    assert reciprocal_rank(-np.arange(12.0), relevant) == 0.0
    assert reciprocal_rank(np.zeros(3), np.array([False, True, False])) == 0.5


def test_fusion_adds_the_weighted_cosine() -> None:
    assert fused(np.array([1.0, 2.0]), np.array([0.5, 0.1]), 4.0).tolist() == [3.0, 2.4]


def test_paired_difference_of_equal_gains_has_no_width() -> None:
    difference = paired_difference(np.full(20, 0.75), np.full(20, 0.5), seed=1)
    assert (difference.mean, difference.low, difference.high) == (0.25, 0.25, 0.25)


def test_reduced_vocabulary_cuts_kept_words_as_before() -> None:
    whole = word_piece_tokenizer(["a", "##a", "b", "##b", "abba", "##bba", "bab", "##ab"])
    kept = reduced(whole, Counter({"abba": 9, "bab": 1}), size=10)
    assert kept.pieces == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "b", "##b", "abba")
    small = word_piece_tokenizer(list(kept.pieces[5:]))
    assert small.encode("abba", add_special_tokens=False).tokens == ["abba"]
    assert small.encode("bab", add_special_tokens=False).tokens == ["b", "##a", "##b"]
    assert kept.old_ids.tolist() == list(range(10))


def test_shipped_weights_rank_an_answer_first() -> None:
    from tools.reranker_training.engines import TorchEngine
    from tools.reranker_training.scoring import Scorer

    passages = [
        "The bridge was closed for repairs in the spring and opened again two months later.",
        "Marie Curie was awarded the Nobel Prize in Physics in 1903 for her work on radiation.",
        "Physics is the study of matter and its motion, and of energy and force.",
    ]
    scorer = Scorer(WEIGHTS / "tokenizer.json", TorchEngine(WEIGHTS, exact=True), 256)
    scores = scorer.score("When did Marie Curie win the Nobel Prize in Physics?", passages)
    assert scores.best.argmax() == 1
    assert scores.best[1] > 0 > scores.best[0]


def test_shipped_folder_stays_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 20_000_000


def test_the_card_is_what_the_files_beside_it_say(tmp_path: Path) -> None:
    for file in WEIGHTS.glob("*.json"):
        shutil.copy(file, tmp_path)
    write_card(tmp_path)
    assert (tmp_path / "README.md").read_text() == (WEIGHTS / "README.md").read_text()


def test_why_a_set_does_not_gain() -> None:
    """One query that the logit loses without a candidate it is sure of, one that it wins."""
    lost = Candidates(np.array([0.9, 0.1]), np.zeros(2), np.array([-3.0, -2.0]), np.array([True, False]))
    won = Candidates(np.array([0.9, 0.8]), np.zeros(2), np.array([-3.0, 4.0]), np.array([False, True]))
    found = facts([lost, won], weight=10.0)
    assert (found["alone_won"], found["alone_lost"], found["alone_lost_unsure"]) == (1, 1, 1)
    assert (found["fused_won"], found["fused_lost"], found["recall_first"], found["unsure"]) == (1, 0, 0.5, 0.5)
    assert (found["passed_cosine"], found["passed_logit"]) == (0.5, 0.5)
