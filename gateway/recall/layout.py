"""How collections and documents lie in Redis.

    siftline:i:UID      the index of one collection
    siftline:d:UID:ID   a document: text, title, metadata, vector, digest, pairs, t_FIELD (tags), n_FIELD (numbers and
                        times), g_FIELD (places)
    siftline:j:UID      ids written while the collection is being rebuilt (a set, there only then)
    siftline:f:UID      there once the collection takes no more writes

UID is new with every creation: documents of a dropped collection are out of reach of a new one of the same name,
whatever their ids hold.
"""

import hashlib
from typing import Any

from gateway.recall import Collection, Document, FieldType, Indexed, words
from gateway.recall.query import number_attribute, place_attribute, tag, tag_attribute

TEXTS = ("text", "title", "metadata")
HNSW_LINKS = 16
HNSW_EF_CONSTRUCTION = 200


def create_arguments(collection: Collection) -> list[Any]:
    """What FT.CREATE is given."""
    vector = ["TYPE", "FLOAT16", "DIM", collection.dimensions, "DISTANCE_METRIC", "COSINE"]
    vector += ["M", HNSW_LINKS, "EF_CONSTRUCTION", HNSW_EF_CONSTRUCTION]
    schema: list[Any] = [
        "title",
        "TEXT",
        "text",
        "TEXT",
        "pairs",
        "TEXT",
        "NOSTEM",
        "vector",
        "VECTOR",
        "HNSW",
        len(vector),
        *vector,
    ]
    for name, kind in collection.fields.items():
        schema += _attribute(name, kind)
    where = [index_name(collection.uid), "ON", "HASH", "PREFIX", 1, document_key(collection.uid, "")]
    stopped = words.stop_words(collection.language)
    return [*where, "LANGUAGE", collection.language, "STOPWORDS", len(stopped), *stopped, "SCHEMA", *schema]


def _attribute(name: str, kind: FieldType) -> list[Any]:
    match kind:
        case FieldType.TAG:
            return [tag_attribute(name), "TAG"]
        case FieldType.GEO:
            return [place_attribute(name), "GEO"]
        case FieldType.NUMBER | FieldType.TIME:
            return [number_attribute(name), "NUMERIC"]


def journal_key(uid: str) -> str:
    return f"siftline:j:{uid}"


def frozen_key(uid: str) -> str:
    return f"siftline:f:{uid}"


def hash_fields(indexed: Indexed) -> list[Any]:
    document = indexed.document
    fields: list[Any] = ["text", document.text, "title", document.title, "metadata", document.metadata]
    fields += ["vector", indexed.vector, "digest", digest(document)]
    if neighbours := words.pairs(document.passage):
        fields += ["pairs", " ".join(neighbours)]
    for name, values in indexed.tags.items():
        fields += [tag_attribute(name), ",".join(map(tag, values))]
    for name, number in indexed.numbers.items():
        fields += [number_attribute(name), repr(number)]
    for name, place in indexed.places.items():
        fields += [place_attribute(name), f"{place.lon:.12f},{place.lat:.12f}"]
    return fields


def digest(document: Document) -> bytes:
    """What tells whether a stored vector is still that of the document."""
    return hashlib.blake2b(document.passage.encode(), digest_size=16).hexdigest().encode()


def index_name(uid: str) -> str:
    return f"siftline:i:{uid}"


def document_key(uid: str, identity: str) -> str:
    """The hash of a document. The engine reads keys up to the first NUL, so NUL is spelt out, reversibly."""
    escaped = identity.replace("%", "%25").replace("\0", "%00")
    return f"siftline:d:{uid}:{escaped}"


def identity(uid: str, key: bytes) -> str:
    return key.decode().removeprefix(document_key(uid, "")).replace("%00", "\0").replace("%25", "%")


def hits(reply: list[Any]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Key and fields of each hit; one that was deleted while the search ran has no fields and is left out."""
    return [(key, pairs(fields)) for key, fields in zip(reply[1::2], reply[2::2], strict=True) if fields is not None]


def pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def stored_document(collection: Collection, key: bytes, fields: dict[bytes, bytes]) -> Document:
    text, title, metadata = (fields.get(name, b"").decode() for name in (b"text", b"title", b"metadata"))
    return Document(identity(collection.uid, key), text, title, metadata)
