"""The documentation of the running interpreter's standard library, as documents to search.

Docstrings of every public module, class, function and method, those written in C included, and the reference topics
of `pydoc` (`help("assert")`), cut into passages. Importing the whole library has side effects, so it is done in a
process of its own: `python -m local.python_docs FILE` writes one JSON object a line:
{"id", "title", "text", "metadata": {"module", "kind"}}.
"""

import builtins
import contextlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from serving.errors import Unavailable
from siftline.passages import cut

# Their import opens a browser, prints, draws, or brings tests and programs rather than a library.
SKIPPED = frozenset({"antigravity", "this", "idlelib", "turtledemo", "test", "tests", "lib2to3", "ensurepip"})
SPECIAL = re.compile(r"__\w+__")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
TITLE_CHARACTERS = 200

Kind = Literal["module", "class", "function", "method", "property", "topic"]


@dataclass(frozen=True)
class Documentation:
    """What the library says of one name."""

    name: str
    title: str
    text: str
    module: str
    kind: Kind

    def passages(self) -> Iterator[dict[str, object]]:
        """Documents to index; the first passage has the name itself for id."""
        for number, passage in enumerate(cut(self.text), start=1):
            yield {
                "id": self.name if number == 1 else f"{self.name}#{number}",
                "title": self.title,
                "text": passage,
                "metadata": {"module": self.module, "kind": self.kind},
            }


def write(file: Path) -> None:
    """Writes the corpus of this interpreter to `file`, in a process of its own. Same interpreter, same bytes.

    Raises: Unavailable, in one line, when that process fails.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONHASHSEED": "0", "BROWSER": "true"}
    command = (sys.executable, "-m", __name__, str(file.resolve()))
    done = subprocess.run(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        last_words = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise Unavailable(f"the documentation of Python could not be collected: {last_words}")


def documentation() -> Iterator[Documentation]:
    """Everything, each object under its shortest name, each pair of last name and text once."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    for found in (*_library(), *_topics()):
        key = (found.name.rpartition(".")[2], found.text)
        # unittest.main is a class and a module: the first one keeps the name.
        if found.text and key not in seen and found.name not in names:
            seen.add(key)
            names.add(found.name)
            yield found


def _library() -> Iterator[Documentation]:
    seen: set[int] = set()
    names = sorted(_module_names(), key=lambda name: (name.count("."), name))
    for module in _imported(names):
        yield Documentation(module.__name__, module.__name__, _text(module), module.__name__, "module")
        yield from _members(module, module.__name__, module.__name__, seen)


def _module_names() -> Iterator[str]:
    top = [name for name in sys.stdlib_module_names if _is_public(name)]
    yield from top
    for package in _imported(sorted(top)):
        yield from _submodules(package)


def _submodules(package: ModuleType) -> Iterator[str]:
    for found in pkgutil.iter_modules(getattr(package, "__path__", ()), f"{package.__name__}."):
        if _is_public(found.name.rpartition(".")[2]):
            yield found.name
            if found.ispkg:
                for module in _imported([found.name]):
                    yield from _submodules(module)


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in SKIPPED


def _imported(names: Iterable[str]) -> Iterator[ModuleType]:
    """The modules that this machine can import: some are for other systems, some need libraries that are absent."""
    for name in names:
        with contextlib.suppress(Exception, SystemExit), contextlib.redirect_stdout(io.StringIO()):
            module = importlib.import_module(name)
            if isinstance(module, ModuleType) and module.__name__ == name:
                yield module


def _members(owner: object, name: str, module: str, seen: set[int]) -> Iterator[Documentation]:
    for attribute, member in sorted(_public(owner), key=lambda pair: pair[0]):
        kind = _kind(member, owner)
        if kind is None or id(member) in seen:
            continue
        seen.add(id(member))
        path = attribute if owner is builtins else f"{name}.{attribute}"
        yield Documentation(path, _title(path, member), _text(member), module, kind)
        if kind == "class":
            yield from _members(member, path, module, seen)


def _public(owner: object) -> Iterator[tuple[str, object]]:
    declared = getattr(owner, "__all__", ()) if isinstance(owner, ModuleType) else ()
    for attribute, member in list(vars(owner).items()):
        if not _is_public(attribute) and not SPECIAL.fullmatch(attribute):
            continue
        if attribute not in declared and not _is_defined_in(member, owner):
            continue
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        yield attribute, member


def _is_defined_in(member: object, owner: object) -> bool:
    if not isinstance(owner, ModuleType):
        return True
    origin = getattr(member, "__module__", None) or ""
    return origin in (owner.__name__, f"_{owner.__name__}") or origin.startswith(f"{owner.__name__}.")


def _kind(member: object, owner: object) -> Kind | None:
    if inspect.isclass(member):
        return "class"
    if inspect.isroutine(member):
        return "function" if isinstance(owner, ModuleType) else "method"
    return "property" if inspect.isdatadescriptor(member) else None


def _title(path: str, member: object) -> str:
    try:
        signature = str(inspect.signature(member)) if callable(member) else ""
    except Exception:  # whatever the evaluation of a default in a C signature runs into
        signature = "(...)"
    return ADDRESS.sub("", path + signature)[:TITLE_CHARACTERS]


def _text(member: object) -> str:
    """Its own docstring; one that it has from its class or a base class is told there."""
    text = getattr(member, "__doc__", None)
    inherited = type(member).__doc__ if not inspect.isclass(member) else None
    return inspect.cleandoc(text) if isinstance(text, str) and text != inherited else ""


def _topics() -> Iterator[Documentation]:
    from pydoc_data.topics import topics

    for name, text in sorted(topics.items()):
        title = text.strip().partition("\n")[0]
        yield Documentation(f"topics/{name}", title[:TITLE_CHARACTERS], text.strip(), "pydoc_data.topics", "topic")


def main(file: Path) -> None:
    warnings.simplefilter("ignore")
    with file.with_suffix(".draft").open("w", encoding="utf-8") as draft:
        for found in documentation():
            for document in found.passages():
                draft.write(json.dumps(document, ensure_ascii=False) + "\n")
    Path(draft.name).rename(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
