"""Settings in a file that is followed: in force for the next call, as before while the file is wrong."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import GatewaySettings
from serving import live, logs
from serving.errors import StartupError
from siftline.search.v1 import search_pb2 as pb
from tests.running.waiting import until


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    logs.show_calls(False)


async def given_to_rerank(gateway: Any) -> float:
    """Seconds that a search leaves the second stage."""
    await gateway.searches.Search(pb.SearchRequest(collection="c", query="pears"), timeout=20)
    return float(gateway.rerank.seconds_left)


async def test_a_change_is_in_force_for_the_next_call(
    gateways: Any, redis_server: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "live.toml"
    file.write_text("index_ef_runtime = 400\n")
    gateway = await gateways.start(redis_server.url, rerank_budget_s=8.0)
    live.follow(GatewaySettings(live_file=file, rerank_budget_s=8.0), gateway.app.adopt)
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    document = pb.Document(id="x", text="apples and pears")
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=[document]))
    assert 6 < await given_to_rerank(gateway) < 9

    file.write_text("rerank_budget_s = 2.0\nlog_calls = true\n")
    await until(lambda: "live file read again: log_calls=True, rerank_budget_s=2.0" in caplog.text)
    assert 1 < await given_to_rerank(gateway) < 3
    assert logs.ANSWERED.isEnabledFor(logging.INFO)

    for wrong, said in (("rerank_budget_s = 0.0", "greater than 0"), ("listen = 'x'", "listen: Extra inputs")):
        file.write_text(wrong)
        await until(lambda said=said: said in caplog.text)  # type: ignore[misc]
        assert 1 < await given_to_rerank(gateway) < 3

    file.write_text("# as the process was started\n")
    await until(lambda: not logs.ANSWERED.isEnabledFor(logging.INFO))
    assert 6 < await given_to_rerank(gateway) < 9


def test_a_wrong_file_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "live.toml"
    for text, reason in (("max_searches = 5", "max_searches: Extra inputs"), ("log_calls =", "Invalid value")):
        file.write_text(text)
        with pytest.raises(StartupError, match=reason):
            live.follow(GatewaySettings(live_file=file))
    flags = (f"--live-file={file}", "--listen=127.0.0.1:0", "--metrics=")
    ended = subprocess.run([sys.executable, "-m", "gateway", *flags], capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(f"siftline: live file {file}: ")
