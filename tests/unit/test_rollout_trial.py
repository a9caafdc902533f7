"""When a new model must go, and which of two answers a query."""

import pytest

from serving.errors import InvalidArgument
from serving.rollout.plan import Plan
from serving.rollout.trial import ENOUGH, Trial
from serving.rollout.versions import place
from siftline.rollout.v1 import rollout_pb2 as pb


def trial(old: list[float], new: list[float], failures: int = 0) -> Trial:
    made = Trial()
    for seconds in old:
        made.old.answered(seconds)
    for seconds in new:
        made.new.answered(seconds)
    for _ in range(failures):
        made.new.failed()
    return made


def test_a_model_that_does_as_well_may_stay() -> None:
    assert trial([0.1] * 50, [0.12] * 50).objection(Plan()) == ""


def test_a_slow_one_goes() -> None:
    assert "95th percentile 300 ms" in trial([0.1] * 50, [0.3] * 50).objection(Plan())
    assert trial([0.1] * 50, [0.3] * 50).objection(Plan(max_slowdown=4)) == ""


def test_a_tail_counts() -> None:
    new = [0.1] * 90 + [1.0] * 10
    assert trial([0.1] * 100, new).objection(Plan())


def test_few_calls_say_nothing_of_time() -> None:
    assert trial([0.1] * 50, [9.0] * (ENOUGH - 1)).objection(Plan()) == ""


def test_a_failing_one_goes_by_its_share() -> None:
    assert trial([], [0.1] * 198, failures=1).objection(Plan(max_error_ratio=0.01)) == ""
    assert "3 of 201 calls" in trial([], [0.1] * 198, failures=3).objection(Plan(max_error_ratio=0.01))


def test_the_share_of_queries_is_the_weight() -> None:
    places = [place(f"query number {n}") for n in range(20_000)]
    assert abs(sum(each < 0.05 for each in places) / len(places) - 0.05) < 0.01
    assert place("the same") == place("the same")


@pytest.mark.parametrize("steps", [(0.5, 0.2), (0.0,), (0.5, 1.5)])
def test_steps_rise_to_one(steps: tuple[float, ...]) -> None:
    with pytest.raises(InvalidArgument, match="plan.steps"):
        Plan.of(pb.Plan(steps=steps))


def test_what_is_not_set_has_its_default() -> None:
    assert Plan.of(pb.Plan(parity=True, linger_seconds=0)) == Plan(parity=True, linger_seconds=0)
    assert Plan.of(Plan(max_slowdown=3).message()) == Plan(max_slowdown=3)
