"""Reindexing: a collection built anew from its stored texts while it is searched and written, then swapped in."""

from collections.abc import AsyncIterator, Mapping, Sequence

from gateway.caller import acting_as
from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.ingest import Ingest, Stored
from gateway.metadata import Incoming, read
from gateway.recall import Collection, Document, FieldType, Recall
from gateway.recall.rebuild import Rebuild
from gateway.recall.registry import Registry
from serving.errors import FailedPrecondition, InvalidArgument
from siftline.embed.v1 import embed_pb2

_PAGE = 500
_FEW = 50  # written ids that may be left for the moment in which writes have to wait


class Reindex:
    """To the model in service now, and to other fields where asked for."""

    def __init__(
        self, registry: Registry, index: Recall, rebuild: Rebuild, client: EmbedClient, ingest: Ingest, timeout_s: float
    ) -> None:
        self._registry = registry
        self._index = index
        self._rebuild = rebuild
        self._client = client
        self._ingest = ingest
        self._timeout_s = timeout_s

    async def run(
        self, name: str, fields: Mapping[str, FieldType] | None, deadline: Deadline, fingerprint: str = ""
    ) -> tuple[Collection, Stored]:
        """The collection as it is afterwards. Interrupted, it leaves the old one in service and can be run again.

        `fields` None keeps those that there are. An empty `fingerprint` means the model in service. Raises NotFound,
        FailedPrecondition (one goes on already; dropped meanwhile; no such model), InvalidArgument (a document does not
        fit the new fields), Unavailable, DeadlineExceeded.
        """
        async with self._rebuild.alone(name):
            old = await self._registry.get(name)
            model = await self._model(fingerprint, deadline)
            new = await self._rebuild.begin(
                old,
                fingerprint=model.fingerprint,
                model=model.name,
                dimensions=model.dimensions,
                fields=old.fields if fields is None else fields,
            )
            try:
                return await self._fill(old, new, deadline)
            except BaseException:
                await self._rebuild.thaw(old)
                raise

    async def everything(self, old_fingerprint: str, new_fingerprint: str, deadline: Deadline) -> list[Stored]:
        """Every tenant's collections with vectors of the one model, one after the other, to the other model."""
        await self._model(new_fingerprint, deadline)
        done = []
        for tenant, collection in await self._registry.everyones():
            if collection.fingerprint == old_fingerprint:
                with acting_as(tenant):
                    _, stored = await self.run(collection.name, None, deadline, new_fingerprint)
                done.append(stored)
        return done

    async def _model(self, fingerprint: str, deadline: Deadline) -> embed_pb2.GetModelResponse:
        if not fingerprint:
            return await self._client.refresh(deadline)
        model = await self._client.of(fingerprint, deadline)
        if model is None:
            raise FailedPrecondition(
                f"fingerprint: the embed service has no model {fingerprint!r:.40}", reason="MODEL_MISMATCH"
            )
        return model

    async def _fill(self, old: Collection, new: Collection, deadline: Deadline) -> tuple[Collection, Stored]:
        # vectors of the same model are copied; of another one, those that an earlier run left behind are kept
        source = old if old.fingerprint == new.fingerprint else new
        try:
            stored = await self._ingest.into(new, self._all(old), deadline, source)
        except InvalidArgument as error:
            raise InvalidArgument("fields", f"a stored document does not fit them: {error}") from error
        await self._carry(old, new, source, deadline, rest=_FEW)
        await self._rebuild.freeze(old)
        await self._carry(old, new, source, deadline, rest=0)
        return await self._rebuild.take_over(old, new), stored

    async def _all(self, old: Collection) -> AsyncIterator[Sequence[Incoming]]:
        async for ids in self._index.scan(old):
            for at in range(0, len(ids), _PAGE):
                documents = await self._index.get(old, ids[at : at + _PAGE], self._timeout_s)
                yield [_incoming(one) for one in documents]

    async def _carry(
        self, old: Collection, new: Collection, source: Collection, deadline: Deadline, *, rest: int
    ) -> None:
        """Brings over what the journal tells of, until no more than `rest` ids were in it."""
        while True:
            ids = await self._rebuild.written(old, _PAGE)
            documents = await self._index.get(old, ids, self._timeout_s)
            gone = set(ids) - {document.id for document in documents}
            if gone:
                await self._index.delete(new, sorted(gone), self._timeout_s)
            if documents:
                await self._ingest.into(new, _once([_incoming(one) for one in documents]), deadline, source)
            if len(ids) <= rest:
                return


def _incoming(document: Document) -> Incoming:
    return Incoming(document, read(document.metadata))


async def _once(documents: Sequence[Incoming]) -> AsyncIterator[Sequence[Incoming]]:
    yield documents
