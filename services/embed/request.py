"""An EmbedRequest checked and converted: everything of it that can be wrong; messages name the field and the limit."""

from collections.abc import Sequence

from services.embed.encoder import EncodeOptions
from services.embed.quantization import Dtype
from services.embed.settings import EmbedSettings
from services.embed.token_outputs import Output
from serving.batching import Priority
from serving.errors import InvalidArgument, NotFound
from serving.limits import check_choice, check_count, check_text
from serving.served_model import ServedModel
from siftline.embed.v1 import embed_pb2

DTYPES = {
    embed_pb2.DTYPE_UNSPECIFIED: Dtype.FLOAT32,
    embed_pb2.DTYPE_FLOAT32: Dtype.FLOAT32,
    embed_pb2.DTYPE_FLOAT16: Dtype.FLOAT16,
    embed_pb2.DTYPE_INT8: Dtype.INT8,
    embed_pb2.DTYPE_BINARY: Dtype.BINARY,
}
TRUNCATIONS = {
    embed_pb2.TRUNCATION_UNSPECIFIED: "end",
    embed_pb2.TRUNCATION_ERROR: "error",
    embed_pb2.TRUNCATION_END: "end",
    embed_pb2.TRUNCATION_START: "start",
    embed_pb2.TRUNCATION_WINDOW: "window",
}
PRIORITIES = {
    embed_pb2.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    embed_pb2.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    embed_pb2.PRIORITY_BULK: Priority.BULK,
}
OUTPUTS = {
    embed_pb2.OUTPUT_UNSPECIFIED: Output.DENSE,
    embed_pb2.OUTPUT_DENSE: Output.DENSE,
    embed_pb2.OUTPUT_SPARSE: Output.SPARSE,
    embed_pb2.OUTPUT_MULTI_VECTOR: Output.MULTI_VECTOR,
}


def options_of(request: embed_pb2.EmbedRequest, model: ServedModel, settings: EmbedSettings) -> EncodeOptions:
    """How the request wants its texts. Raises InvalidArgument, NotFound."""
    check_model(request.model, model)
    check_count("texts", len(request.texts), settings.max_texts)
    for index, text in enumerate(request.texts):
        check_text(f"texts[{index}]", text, settings.max_text_bytes)
    if request.dimensions > model.dimensions:
        raise InvalidArgument("dimensions", f"{request.dimensions}; {model.name} has {model.dimensions}")
    dtype = check_choice("dtype", DTYPES, request.dtype)
    return EncodeOptions(
        _prompts(request, model, settings),
        check_choice("truncation", TRUNCATIONS, request.truncation),
        dtype,
        request.dimensions,
        check_choice("priority", PRIORITIES, request.priority),
        _outputs(request, model, dtype),
    )


def check_model(name: str, model: ServedModel) -> None:
    if name and name != model.name:
        raise NotFound(f"model: {name!r} is not served here; {model.name!r} is")


def made_by(model: ServedModel) -> list["embed_pb2.Output"]:
    """The outputs that a model makes."""
    return [wire for wire, output in OUTPUTS.items() if wire and output.value in ("vectors", *model.token_outputs)]


def _outputs(request: embed_pb2.EmbedRequest, model: ServedModel, dtype: Dtype) -> frozenset[Output]:
    outputs = frozenset(check_choice("outputs", OUTPUTS, value) for value in request.outputs) or _DENSE
    made = made_by(model)
    for wire in request.outputs:
        if wire and wire not in made:
            known = ", ".join(map(embed_pb2.Output.Name, made))
            raise InvalidArgument("outputs", f"{embed_pb2.Output.Name(wire)} is not made by {model.name}, but {known}")
    if Output.SPARSE in outputs and dtype not in (Dtype.FLOAT32, Dtype.FLOAT16):
        raise InvalidArgument("dtype", f"{dtype.value} is not for sparse weights; float32 and float16 are")
    return outputs


_DENSE = frozenset({Output.DENSE})


def _prompts(request: embed_pb2.EmbedRequest, model: ServedModel, settings: EmbedSettings) -> Sequence[str]:
    """None, one for all texts, or one for each."""
    if not request.prompt_texts:
        return tuple(filter(None, [_prompt(request, model, settings)]))
    if request.WhichOneof("prompt"):
        raise InvalidArgument("prompt_texts", f"not together with {request.WhichOneof('prompt')}")
    if len(request.prompt_texts) != len(request.texts):
        found = f"{len(request.prompt_texts)} prompts for {len(request.texts)} texts"
        raise InvalidArgument("prompt_texts", f"{found}; one for each is needed")
    for index, prompt in enumerate(request.prompt_texts):
        check_text(f"prompt_texts[{index}]", prompt, settings.max_prompt_bytes, empty=True)
    return request.prompt_texts


def _prompt(request: embed_pb2.EmbedRequest, model: ServedModel, settings: EmbedSettings) -> str:
    if request.side not in (embed_pb2.SIDE_UNSPECIFIED, embed_pb2.SIDE_QUERY, embed_pb2.SIDE_DOCUMENT):
        raise InvalidArgument("side", f"{request.side} is none of SIDE_QUERY, SIDE_DOCUMENT")
    match request.WhichOneof("prompt"):
        case "prompt_text":
            check_text("prompt_text", request.prompt_text, settings.max_prompt_bytes, empty=True)
            return request.prompt_text
        case "prompt_name":
            name = request.prompt_name
        case _:
            query = request.side == embed_pb2.SIDE_QUERY
            name = model.default_query_prompt if query else model.default_document_prompt
            if not name:
                return ""
    if name not in model.prompts:
        known = ", ".join(sorted(model.prompts)) or "none"
        raise InvalidArgument("prompt_name", f"{name!r} is not a prompt of {model.name}; it has: {known}")
    return model.prompts[name]
