"""The dialects against the running system: real models, real Triton, real HTTP."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.running import http
from tests.running.stack import RunningStack

Ask = Callable[..., http.Answer]


@pytest.fixture(scope="session")
def url(shared_stack: RunningStack) -> str:
    return str(shared_stack.endpoints["gateway_http"])


@pytest.fixture
def ask(url: str) -> Ask:
    """ask(path, body=None, method="", **headers)"""

    def asked(path: str, *arguments: Any, **headers: str) -> http.Answer:
        return partial(http.ask, url + path)(*arguments, **headers)

    return asked
