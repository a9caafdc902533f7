"""Texts as tokens and back, on the wire: what the model's tokenizer makes of them, checked like texts to embed."""

from collections.abc import Sequence

import tokenizers

from services.embed.request import check_model
from services.embed.settings import EmbedSettings
from serving.errors import InvalidArgument
from serving.limits import TOO_LONG, check_count, check_text
from serving.served_model import ServedModel
from serving.tokenization import TokenizerPool
from siftline.embed.v1 import embed_pb2 as pb


class Vocabulary:
    """The tokenizer of the model in service, for those who want to see tokens."""

    def __init__(self, model: ServedModel, tokenizer: TokenizerPool, settings: EmbedSettings) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._settings = settings

    async def tokenize(self, request: pb.TokenizeRequest) -> pb.TokenizeResponse:
        """Raises NotFound, InvalidArgument."""
        check_model(request.model, self._model)
        check_count("texts", len(request.texts), self._settings.max_texts)
        for place, text in enumerate(request.texts):
            check_text(f"texts[{place}]", text, self._settings.max_text_bytes, empty=True)
        prompt = self._prompt(request.prompt_name)
        texts = [prompt + text for text in request.texts]
        encodings = await self._tokenizer.encodings(texts, request.add_special_tokens)
        return pb.TokenizeResponse(texts=map(_tokenized, encodings))

    async def decode(self, request: pb.DecodeRequest) -> pb.DecodeResponse:
        """Raises NotFound, InvalidArgument for an id that is not in the vocabulary."""
        check_model(request.model, self._model)
        check_count("texts", len(request.texts), self._settings.max_texts)
        size = self._tokenizer.vocabulary_size
        for place, text in enumerate(request.texts):
            self._check_ids(f"texts[{place}].ids", text.ids, size)
        ids = [text.ids for text in request.texts]
        return pb.DecodeResponse(texts=await self._tokenizer.decode(ids, request.skip_special_tokens))

    def _check_ids(self, field: str, ids: Sequence[int], size: int) -> None:
        limit = self._settings.max_text_bytes
        if len(ids) > limit:
            raise InvalidArgument(field, f"{len(ids)} ids; the limit is {limit}", reason=TOO_LONG)
        if ids and max(ids) >= size:
            raise InvalidArgument(field, f"{max(ids)} is not in the vocabulary of {self._model.name}, of {size} tokens")

    def _prompt(self, name: str) -> str:
        if name and name not in self._model.prompts:
            known = ", ".join(sorted(self._model.prompts)) or "none"
            raise InvalidArgument("prompt_name", f"{name!r:.80} is not a prompt of {self._model.name}; it has: {known}")
        return self._model.prompts[name] if name else ""


def _tokenized(encoding: tokenizers.Encoding) -> pb.TokenizedText:
    return pb.TokenizedText(
        ids=encoding.ids,
        tokens=encoding.tokens,
        special=map(bool, encoding.special_tokens_mask),
        starts=[start for start, _ in encoding.offsets],
        ends=[end for _, end in encoding.offsets],
    )
