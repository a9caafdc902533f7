"""Cache keys of texts: whatever decides a vector is in the key, so a key never stands for two vectors."""

import hashlib
from collections.abc import Iterable, Sequence

from serving.errors import InvalidArgument
from siftline.embed.v1 import embed_pb2
from siftline.embed.v1.embed_pb2 import EmbedRequest, GetModelResponse

_PREFIX = b"siftline:e1:"
_CLAIM_PREFIX = b"siftline:c1:"
_CHARACTERS = 16
# Everything of a request is in the key but these: they are no facts of a vector, or are in it resolved, text by text.
# A field that a later version adds is in the key without anyone thinking of it.
_LEFT_OUT = ("model", "texts", "priority", "prompt_name", "prompt_text", "prompt_texts", "fingerprint")


def keys_of(request: EmbedRequest, model: GetModelResponse, salt: bytes) -> list[bytes]:
    """The key of each text of the request. Raises InvalidArgument for an unknown prompt."""
    facts = EmbedRequest()
    facts.CopyFrom(request)
    for name in _LEFT_OUT:
        facts.ClearField(name)
    facts.dimensions = request.dimensions or model.dimensions
    common = facts.SerializeToString(deterministic=True)
    pairs = zip(_prompts(request, model), request.texts, strict=True)
    return [digest_key(model.fingerprint, (common, salt, prompt.encode(), text.encode())) for prompt, text in pairs]


def digest_key(fingerprint: str, parts: Iterable[bytes]) -> bytes:
    """Length-prefixed, so that no two lists of parts meet. Begins with the model, whose entries can thus be found."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (fingerprint.encode(), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return prefix_of(fingerprint) + digest.digest()


def claim_on(key: bytes) -> bytes:
    """Where it says that someone is computing the row of `key`; the braces keep both on one node of a cluster."""
    return _CLAIM_PREFIX + b"{" + key + b"}"


def prefix_of(fingerprint: str) -> bytes:
    """What keys of a model begin with; of all models when it is empty."""
    return _PREFIX + (fingerprint[:_CHARACTERS].encode() + b":" if fingerprint else b"")


def fingerprint_of(key: bytes) -> str:
    """The first characters of the model's."""
    return key[len(_PREFIX) : len(_PREFIX) + _CHARACTERS].decode(errors="replace")


def _prompts(request: EmbedRequest, model: GetModelResponse) -> Sequence[str]:
    """What is put in front of each text."""
    if request.prompt_texts:
        return request.prompt_texts
    return [_prompt(request, model)] * len(request.texts)


def _prompt(request: EmbedRequest, model: GetModelResponse) -> str:
    match request.WhichOneof("prompt"):
        case "prompt_text":
            return request.prompt_text
        case "prompt_name" if request.prompt_name in model.prompts:
            return model.prompts[request.prompt_name]
        case "prompt_name":
            known = ", ".join(sorted(model.prompts)) or "none"
            raise InvalidArgument("prompt_name", f"{request.prompt_name[:80]!r} is not a prompt of the model ({known})")
    query = request.side == embed_pb2.SIDE_QUERY
    return model.prompts.get(model.default_query_prompt if query else model.default_document_prompt, "")
