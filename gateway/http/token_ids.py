"""Token ids that clients send instead of text: whose vocabulary they are of, and what they say.

langchain-openai and others that count tokens with tiktoken send ids of OpenAI's vocabulary, whatever the model. Taken
for another vocabulary's they say something else, and nobody would notice. The model's own tokenizer puts its special
tokens around a text; by these its ids are known.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

from gateway.api.embed import EmbedServicer
from gateway.http.call import Call
from serving.errors import InvalidArgument, StartupError
from siftline.embed.v1 import embed_pb2


class TokenIds:
    """Ids of the vocabulary in `file` (lines of base64 and rank, as tiktoken has them); of the model's own without."""

    def __init__(self, embed: EmbedServicer, file: Path | None) -> None:
        self._embed = embed
        self._file = file
        self._pieces = _read(file) if file is not None else {}

    async def texts(self, call: Call, lists: Sequence[list[int]]) -> list[str]:
        """Raises InvalidArgument for ids that are not of this vocabulary."""
        if self._file is not None:
            return [self._text(place, ids) for place, ids in enumerate(lists)]
        return await self._of_the_model(call, lists)

    def _text(self, place: int, ids: Sequence[int]) -> str:
        try:
            return b"".join(self._pieces[one] for one in ids).decode(errors="replace")
        except KeyError as error:
            raise InvalidArgument(f"texts[{place}]", f"{error} is not in the vocabulary of {self._file}") from error

    async def _of_the_model(self, call: Call, lists: Sequence[list[int]]) -> list[str]:
        if any(not 0 <= one < 1 << 32 for ids in lists for one in ids):
            raise InvalidArgument("texts", "holds a number that is no token id")
        wire = [embed_pb2.TokenIds(ids=ids) for ids in lists]
        decoded = await self._embed.Decode(embed_pb2.DecodeRequest(texts=wire, skip_special_tokens=True), call)
        request = embed_pb2.TokenizeRequest(texts=decoded.texts, add_special_tokens=True)
        again = await self._embed.Tokenize(request, call)
        for place, (ids, own) in enumerate(zip(lists, again.texts, strict=True)):
            if ids != list(own.ids):
                raise InvalidArgument(f"texts[{place}]", _NOT_OURS)
        return list(decoded.texts)


_NOT_OURS = (
    "these ids are not what the model's own tokenizer makes of a text, special tokens included: send text "
    "(LangChain: check_embedding_ctx_length=False), or set the gateway's openai_vocabulary to the file of theirs"
)


def _read(file: Path) -> dict[int, bytes]:
    try:
        lines = [line.split() for line in file.read_bytes().splitlines() if line]
        return {int(rank): base64.b64decode(piece, validate=True) for piece, rank in lines}
    except (OSError, ValueError) as error:
        raise StartupError(f"vocabulary {file}: {error}") from error
