import pytest

from local import ports
from serving.errors import InvalidArgument


def test_ports_from_a_base_are_consecutive() -> None:
    assert list(ports.from_base(20000)) == list(range(20000, 20014))


def test_free_ports_differ() -> None:
    assert len(set(ports.from_base(0))) == ports.COUNT


@pytest.mark.parametrize("base", [-1, 80, 65530])
def test_base_outside_the_range_is_refused(base: int) -> None:
    with pytest.raises(InvalidArgument, match="port-base"):
        ports.from_base(base)
