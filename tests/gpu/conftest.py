"""What needs a GPU skips without one, and says what is missing."""

import pytest

from benchmarks.gpu import missing


@pytest.fixture(scope="session")
def gpu() -> None:
    if lacking := missing():
        pytest.skip(f"missing here: {'; '.join(lacking)}")
