"""What has to be there before the stack starts, or right after: exported models, indexed documentation."""

import asyncio
import platform
import sys
from pathlib import Path

from local import python_docs
from serving.errors import Unavailable
from siftline import documents, indexing
from siftline.cli.progress import bar
from siftline.client import AsyncClient
from siftline.results import FieldType

PYTHON_COLLECTION = "python"
PYTHON_FIELDS: dict[str, FieldType] = {"module": "tag", "kind": "tag"}


async def export_default_models(models: Path) -> None:
    """Exports the catalogue's default models where they are missing or stale, in a process of its own (torch)."""
    command = (sys.executable, "-m", "export", "--defaults", "--out", str(models))
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if code != 0:
        raise Unavailable(f"the default models could not be exported (exit status {code}, see above)")


async def index_python_documentation(client: AsyncClient, state: Path) -> indexing.Progress:
    """Brings the collection of the Python documentation in step with the interpreter that runs this."""
    corpus = state / "corpus" / f"python-{platform.python_version()}.jsonl"
    if not corpus.is_file():
        await asyncio.to_thread(python_docs.write, corpus)
    await _drop_vectors_of_another_model(client)
    read = documents.source(corpus)
    with bar("Python's documentation", sum(1 for _ in read())) as report:
        return await indexing.index(client, PYTHON_COLLECTION, read(), fields=PYTHON_FIELDS, report=report)


async def _drop_vectors_of_another_model(client: AsyncClient) -> None:
    """This collection is ours and can be made again at any time; those of users are never dropped."""
    model = await client.embed_model()
    for collection in await client.list_collections():
        if collection.name == PYTHON_COLLECTION and collection.fingerprint != model.fingerprint:
            await client.drop_collection(PYTHON_COLLECTION)
