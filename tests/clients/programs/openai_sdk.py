"""openai"""

import openai

from tests.clients.truth import Truth, refused


def _client(truth: Truth) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{truth.http}/v1", api_key=truth.key, max_retries=0)


def check_embeddings(truth: Truth) -> None:
    """`embeddings.create`, base64 as the client asks for by itself"""
    reply = _client(truth).embeddings.create(model="all-minilm-l6-v2", input=truth.texts)
    truth.check_vectors([item.embedding for item in reply.data])
    assert reply.usage.total_tokens > 0


def check_floats_and_dimensions(truth: Truth) -> None:
    """`encoding_format="float"`, `dimensions`"""
    client = _client(truth)
    reply = client.embeddings.create(model="x", input=truth.texts, encoding_format="float")
    truth.check_vectors([item.embedding for item in reply.data])
    short = client.embeddings.create(model="x", input="one text", dimensions=64)
    assert len(short.data[0].embedding) == 64


async def check_async(truth: Truth) -> None:
    """`AsyncOpenAI`"""
    async with openai.AsyncOpenAI(base_url=f"{truth.http}/v1", api_key=truth.key) as client:
        reply = await client.embeddings.create(model="x", input=truth.texts)
    truth.check_vectors([item.embedding for item in reply.data])


def check_models(truth: Truth) -> None:
    """`models.list`, `models.retrieve`"""
    client = _client(truth)
    assert "all-minilm-l6-v2" in [model.id for model in client.models.list()]
    assert client.models.retrieve("all-minilm-l6-v2").object == "model"


def check_errors(truth: Truth) -> None:
    """its exceptions, with our message, field and request id"""
    create = _client(truth).embeddings.create
    wrong = refused(openai.BadRequestError, create, model="x", input=[""])
    assert "empty" in wrong.message
    assert wrong.param == "input[0]"
    assert wrong.request_id
    many = refused(openai.UnprocessableEntityError, create, model="x", input=["a"] * 2049)
    assert "2048" in many.message
    stranger = openai.OpenAI(base_url=f"{truth.http}/v1", api_key="wrong", max_retries=0)
    assert refused(openai.AuthenticationError, stranger.models.list).type == "authentication_error"
