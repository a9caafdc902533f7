"""The plan's arithmetic, and that of docs/capacity.md."""

import json
import re
from math import ceil
from pathlib import Path

import pytest

from siftline import capacity
from siftline.capacity import Choices, Index, Load, Unit
from siftline.cli import main

PAGE = Path("docs/capacity.md")
RESULTS = Path("benchmarks/results")
UNIT = Unit(1000.0, 2000.0, 1500.0, "given")
INDEX = Index(100.0, 2.0, 4.0, "given")


def rows() -> list[tuple[str, str, str]]:
    return re.findall(r"^\| ([^|]+) \| `([^`]+)` \| ([\d.]+) \|$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("what", "arithmetic", "value"), rows())
def test_the_page_adds_up(what: str, arithmetic: str, value: str) -> None:
    found = eval(arithmetic, {"__builtins__": {}, "ceil": ceil})
    digits = len(value.partition(".")[2])
    assert round(found, digits) == float(value), what


def test_every_table_of_the_page_is_checked() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and "---" not in line]
    assert len(rows()) == len([line for line in lines if "comes to" not in line]) > 20


def test_the_page_uses_what_was_measured() -> None:
    unit, index = (
        capacity.measured_unit(RESULTS / "latest.json"),
        capacity.measured_index(RESULTS / "index-memory.json"),
    )
    assert unit.rerank_tokens_per_s == pytest.approx(34300, rel=0.02)
    assert unit.embed_tokens_per_s == pytest.approx(14800, rel=0.02)
    assert unit.bulk_tokens_per_s == pytest.approx(28300, rel=0.02)
    assert index.bytes_per_passage(800, 384) == pytest.approx(5339, rel=0.001)


def test_a_plan_by_hand() -> None:
    """10 queries a second of 20 and 50 * 100 tokens; 10 GiB at 60 % in shards of 4 GiB."""
    load = Load(10, 10 * capacity.GIB // 1636, passage_tokens=100, passage_bytes=0, cache_hits=0.5)
    found = capacity.plan(load, UNIT, INDEX, 384, Choices(utilization=0.5, shard_gib=4, unit_price=2, gib_price=0))
    assert found.embed == 1 + 1  # 100 tokens/s of 500
    assert found.rerank == 50 + 1  # 50,000 of 1,000 each
    assert found.index_gib == pytest.approx(10, rel=1e-3)
    assert found.shards == 3
    assert found.index_hours == pytest.approx(10 * capacity.GIB / 1636 * 100 / (2 * 1500) / 3600, rel=1e-3)
    assert found.cost_per_million == pytest.approx(53 * 2 / 36_000 * 1e6)


def test_no_second_stage_no_rerankers() -> None:
    assert capacity.plan(Load(10, 1000, depth=0), UNIT, INDEX, 384, Choices()).rerank == 0


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--qps=100", "--corpus=10000000"]) == 0
    said = capsys.readouterr().out
    date = json.loads((RESULTS / "latest.json").read_text())["date"]
    assert f"measured {date}" in said
    assert "rerank replicas" in said
    assert "no price given" in said


@pytest.mark.parametrize("flags", [["--gpu=H100"], ["--model=bge-m3"], ["--embed-speed=5"]])
def test_a_speed_that_nobody_measured_has_to_be_given(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--qps=1", "--corpus=1", *flags]) == 1
    assert "was measured yet" in capsys.readouterr().err


def test_a_given_speed_is_called_given(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--gpu=H100", "--embed-speed=2e6", "--rerank-speed=1e6", "--unit-price=4"]
    assert main(["plan", "--qps=100", "--corpus=1000", *flags]) == 0
    said = capsys.readouterr().out
    assert "GIVEN on the command line, not measured" in said
    assert "rerank GPUs (H100)" in said
