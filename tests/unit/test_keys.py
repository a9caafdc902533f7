"""The keys file."""

from pathlib import Path

import pytest

from gateway.auth.keys import Keys
from serving.errors import StartupError

GOOD = '[[keys]]\nname = "a"\nsha256 = "{}"\nscopes = ["search"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "after a key"),
        ("", "keys: Field required"),
        (GOOD.format("0" * 63), "keys.0.sha256"),
        (GOOD.format("0" * 64).replace("search", "fly"), "keys.0.scopes"),
        (GOOD.format("0" * 64) + 'tenant = "a/b"', "keys.0.tenant"),
        (GOOD.format("0" * 64) + "colour = 1", "keys.0.colour"),
        (GOOD.format("0" * 64) * 2, "twice"),
    ],
)
def test_a_wrong_file_ends_the_start_with_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(StartupError) as caught:
        Keys(path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        Keys(tmp_path / "keys.toml")
