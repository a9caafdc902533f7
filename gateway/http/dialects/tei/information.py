"""TEI's facts: which model, which limits, whether ready, metrics."""

from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs

from gateway.http.call import Call
from gateway.http.dialects.tei.messages import Info
from gateway.http.endpoint import Operation
from gateway.http.models import Models
from gateway.http.reply import Reply, json_reply
from serving.errors import Unavailable
from serving.health import Health
from serving.telemetry import exposition

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Information:
    """Handlers. /info is of the embedding model; /info?model=NAME may be of the reranker."""

    def __init__(self, models: Models, health: Health) -> None:
        self._models = models
        self._health = health

    def operations(self) -> list[Operation]:
        return [
            Operation("GET", "/info", None, self.info, "The model and its limits", None, Info, query=("model",)),
            *(Operation("GET", path, None, self.health, "200 when ready", open=True) for path in ("/health", "/ping")),
            Operation("GET", "/metrics", None, self.metrics, "For Prometheus", None, "text/plain"),
        ]

    async def info(self, call: Call) -> Reply:
        asked = parse_qs(call.query.decode("latin-1")).get("model", [""])[0]
        model: Any = await self._models.embed_model(call)
        kind: dict[str, Any] = {"embedding": {"pooling": model.pooling}}
        limit = model.limits.max_texts
        if asked and asked != model.name:
            model = await self._models.rerank_model(call)
            kind = {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}
            limit = model.limits.max_passages
        return json_reply(_info(model, kind, limit))

    async def health(self, call: Call) -> Reply:
        if not self._health.serving:
            raise Unavailable("Unhealthy")
        return Reply(200, b"")

    async def metrics(self, call: Call) -> Reply:
        return Reply(200, exposition(), media_type=_METRICS)


def _info(model: Any, kind: dict[str, Any], max_client_batch_size: int) -> Info:
    return Info(
        model_id=model.source or model.name,
        model_sha=model.fingerprint,
        model_dtype=_DTYPES.get(model.precision, model.precision),
        served_model_name=model.name,
        model_type=kind,
        max_input_length=model.max_tokens,
        max_client_batch_size=max_client_batch_size,
        version=version("siftline"),
    )
