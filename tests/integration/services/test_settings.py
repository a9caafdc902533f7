"""A setting that is wrong is told in one line, by its name, with exit status 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.served_model import MODEL_FILE, ServedModel

CASES = {
    "missing": (["services.embed"], "siftline: setting --model-dir: Field required"),
    "no number": (
        ["services.embed", "--model-dir=x", "--workers=many"],
        "siftline: setting --workers: Input should be",
    ),
    "below its bound": (["gateway", "--workers=0"], "siftline: setting --workers: Input should be greater than"),
    "no model there": (["services.rerank", "--model-dir=x"], "siftline: model_dir x: no exported model there"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line(case: str) -> None:
    command, line = CASES[case]
    ended = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=200)
    assert ended.returncode == 2
    assert ended.stderr.startswith(line)
    assert len(ended.stderr.splitlines()) == 1


def test_a_precision_that_the_export_refused(tmp_path: Path) -> None:
    facts = {name: "x" for name in ("name", "family", "source", "licence", "digest")}
    engines = {"precisions": ("fp32",), "refused": {"bf16": "off by 1"}}
    model = ServedModel(**facts, **engines, task="embed", max_tokens=8, pad_token_id=0, inputs=())
    (tmp_path / MODEL_FILE).write_text(model.model_dump_json())
    command = [sys.executable, "-m", "services.embed", f"--model-dir={tmp_path}", "--precision=bf16"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 2
    assert ended.stderr == (
        "siftline: precision bf16: refused when x was exported (off by 1); auto takes fp32; "
        "to serve bf16 all the same, export it with --precision bf16 --accept\n"
    )
