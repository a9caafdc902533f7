"""The keys file."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.auth.keys import Keys
from gateway.auth.scopes import Scope
from serving.errors import StartupError, Unauthenticated

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


def test_the_key_that_was_made_opens_what_it_was_made_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.auth", "shop", "search", "write", "--tenant", "acme"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    secret = made.stderr.rsplit(": ", 1)[1].strip()
    path = tmp_path / "keys.toml"
    path.write_text(made.stdout)
    assert secret not in made.stdout
    key = Keys(path).find(secret)
    assert (key.name, key.tenant, key.scopes) == ("shop", "acme", {Scope.SEARCH, Scope.WRITE})
    with pytest.raises(Unauthenticated):
        Keys(path).find(secret + "x")
