"""tei.v1 and KServe v2 over real gRPC: the latter with Triton's own client."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

import siftline
from gateway.dialects import tei_pb2 as tei
from gateway.dialects import tei_pb2_grpc as stubs
from tests.integration.http.conftest import Ask
from tests.running.stack import RunningStack

QUERY = "What is the capital of France?"
PASSAGES = ["Bananas are yellow.", "Paris is the capital of France.", "Berlin is the capital of Germany."]
TEXTS = ["how are batches formed?", "by tokens", "日本語のテキスト"]
LONG = "word " * 600


@pytest.fixture(scope="module")
def address(shared_stack: RunningStack) -> str:
    return str(shared_stack.endpoints["gateway"])


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as opened:
        yield opened


@pytest.fixture(scope="module")
def vectors(address: str) -> np.ndarray:
    with siftline.Client(address) as client:
        return np.asarray(client.embed(TEXTS))


@pytest.fixture(scope="module")
def logits(address: str) -> dict[int, float]:
    with siftline.Client(address) as client:
        return {each.index: each.logit for each in client.rerank(QUERY, PASSAGES)}


def refused(code: grpc.StatusCode) -> object:
    return pytest.raises(grpc.RpcError, check=lambda error: error.code() == code)


def test_tei_embed(channel: grpc.Channel, vectors: np.ndarray) -> None:
    stub = stubs.EmbedStub(channel)
    reply = stub.Embed(tei.EmbedRequest(inputs=TEXTS[0]))
    assert np.array_equal(np.array(reply.embeddings, np.float32), vectors[0])
    assert reply.metadata.compute_chars == len(TEXTS[0])
    assert reply.metadata.compute_tokens > 5
    assert reply.metadata.total_time_ns > 0
    assert len(stub.Embed(tei.EmbedRequest(inputs="a", dimensions=32)).embeddings) == 32
    with refused(grpc.StatusCode.INVALID_ARGUMENT):  # proto3's false is TEI's default here, unlike over HTTP
        stub.Embed(tei.EmbedRequest(inputs=LONG))
    left = tei.EmbedRequest(inputs="begin " + LONG, truncate=True, truncation_direction=tei.TRUNCATION_DIRECTION_LEFT)
    right = tei.EmbedRequest(inputs="begin " + LONG, truncate=True)
    assert stub.Embed(left).embeddings != stub.Embed(right).embeddings
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        stub.Embed(tei.EmbedRequest())
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        stub.EmbedSparse(tei.EmbedSparseRequest(inputs="a"))
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        stub.EmbedAll(tei.EmbedAllRequest(inputs="a"))


def test_tei_streams_answer_in_order(channel: grpc.Channel, vectors: np.ndarray) -> None:
    stub = stubs.EmbedStub(channel)
    replies = list(stub.EmbedStream(tei.EmbedRequest(inputs=text) for text in TEXTS * 100))
    found = np.array([reply.embeddings for reply in replies], np.float32)
    assert np.array_equal(found, np.tile(vectors, (100, 1)))
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(stub.EmbedStream(tei.EmbedRequest(inputs=text) for text in ("fine", "", "fine")))


def test_tei_rerank(channel: grpc.Channel, logits: dict[int, float]) -> None:
    stub = stubs.RerankStub(channel)
    reply = stub.Rerank(tei.RerankRequest(query=QUERY, texts=PASSAGES, raw_scores=True, return_text=True))
    assert {rank.index: rank.score for rank in reply.ranks} == logits
    assert [rank.score for rank in reply.ranks] == sorted(logits.values(), reverse=True)
    assert [rank.text for rank in reply.ranks] == [PASSAGES[rank.index] for rank in reply.ranks]
    messages = (
        tei.RerankStreamRequest(query=QUERY, text=text, raw_scores=not place) for place, text in enumerate(PASSAGES)
    )
    assert {rank.index: rank.score for rank in stub.RerankStream(messages).ranks} == logits
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        stub.RerankStream(iter(()))
    assert not stub.Rerank(tei.RerankRequest(query=QUERY, texts=PASSAGES)).ranks[0].HasField("text")


def test_tei_predict(channel: grpc.Channel, logits: dict[int, float]) -> None:
    stub = stubs.PredictStub(channel)
    pairs = [tei.PredictPairRequest(inputs=[QUERY, passage], raw_scores=True) for passage in PASSAGES]
    expected = [pytest.approx(logits[place], abs=1e-5) for place in range(3)]
    assert [stub.PredictPair(pair).predictions[0].score for pair in pairs] == expected
    assert [reply.predictions[0].score for reply in stub.PredictPairStream(iter(pairs))] == expected
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        stub.Predict(tei.PredictRequest(inputs="alone"))
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        list(stub.PredictStream(iter([tei.PredictRequest(inputs="alone")])))


def test_tei_tokens(channel: grpc.Channel, ask: Ask) -> None:
    stub = stubs.TokenizeStub(channel)
    request = tei.EncodeRequest(inputs="Grüße tokenization", add_special_tokens=True)
    tokens = stub.Tokenize(request).tokens
    (expected,) = ask("/tokenize", {"inputs": "Grüße tokenization"}).body
    assert [(token.id, token.text, token.special) for token in tokens] == [
        (token["id"], token["text"], token["special"]) for token in expected
    ]
    ids = [token.id for token in tokens]
    decoded = tei.DecodeRequest(ids=ids, skip_special_tokens=True)
    assert stub.Decode(decoded).text == "gruße tokenization"
    assert [reply.text for reply in stub.DecodeStream(iter([decoded] * 3))] == ["gruße tokenization"] * 3
    assert len(list(stub.TokenizeStream(iter([request] * 3)))) == 3


def test_tei_facts(channel: grpc.Channel) -> None:
    info = stubs.InfoStub(channel).Info(tei.InfoRequest())
    assert (info.model_id, info.model_type, info.max_input_length) == (
        "all-minilm-l6-v2",
        tei.MODEL_TYPE_EMBEDDING,
        256,
    )
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("tei.v1.Embed", "tei.v1.Rerank"):
        assert (
            health.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
        )


def tensor(name: str, texts: list[str], kind: str = "BYTES") -> triton.InferInput:
    given = triton.InferInput(name, [len(texts), 1], kind)
    given.set_data_from_numpy(np.array([text.encode() for text in texts], object).reshape(-1, 1))
    return given


def test_kserve_embeds(address: str, vectors: np.ndarray) -> None:
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("all-minilm-l6-v2")
        assert not client.is_model_ready("other")
        assert client.get_server_metadata().name == "siftline"
        assert client.get_model_metadata("all_minilm_l6_v2").inputs[0].name == "text"
        reply = client.infer("all-minilm-l6-v2", [tensor("text", TEXTS)], request_id="mine")
        assert np.array_equal(reply.as_numpy("embeddings"), vectors)
        assert reply.as_numpy("token_count").shape == (3,)
        assert reply.get_response().id == "mine"
        wanted = [triton.InferRequestedOutput("embeddings")]
        parameters = {"input_type": "query", "truncate": "END", "dimensions": 16}
        short = client.infer("all_minilm_l6_v2", [tensor("text", TEXTS)], outputs=wanted, parameters=parameters)
        assert short.as_numpy("embeddings").shape == (3, 16)
        assert short.as_numpy("token_count") is None


def test_kserve_reranks(address: str, logits: dict[int, float]) -> None:
    with triton.InferenceServerClient(address) as client:
        given = [tensor("query", [QUERY] * 3), tensor("passage", PASSAGES)]
        reply = client.infer("siftline-minilm-l6-reranker", given)
        found = dict(zip(reply.as_numpy("index").tolist(), reply.as_numpy("logit").tolist(), strict=True))
        assert found == logits
        assert next(iter(found)) == 1


def test_kserve_errors(address: str) -> None:
    def code(model: str, *inputs: triton.InferInput, **options: object) -> str:
        with triton.InferenceServerClient(address) as client, pytest.raises(InferenceServerException) as caught:
            client.infer(model, list(inputs), **options)
        return str(caught.value.status())

    invalid, embedder = "StatusCode.INVALID_ARGUMENT", "all-minilm-l6-v2"
    assert code("other", tensor("text", ["a"])) == "StatusCode.NOT_FOUND"
    assert code(embedder, tensor("words", ["a"])) == invalid
    assert code(embedder, tensor("text", [])) == invalid
    assert code(embedder, tensor("text", [LONG]), parameters={"truncate": "NONE"}) == invalid
    assert code(embedder, tensor("text", ["a"]), parameters={"truncate": "MIDDLE"}) == invalid
    assert code(embedder, tensor("text", ["a"]), outputs=[triton.InferRequestedOutput("x")]) == invalid
    assert code("siftline-minilm-l6-reranker", tensor("query", ["a", "b"]), tensor("passage", ["c", "d"])) == invalid
