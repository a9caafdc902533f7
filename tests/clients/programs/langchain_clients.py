"""langchain-openai, langchain-cohere, langchain-community, langchain-huggingface"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.clients.truth import Truth


def check_openai(truth: Truth) -> None:
    """langchain-openai: `OpenAIEmbeddings` as it is, token ids and all (with `openai_vocabulary`)"""
    folder = Path(tempfile.mkdtemp())  # tiktoken fetches the vocabulary; here it finds it fetched
    source = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    shutil.copy(truth.vocabulary, folder / hashlib.sha1(source.encode()).hexdigest())
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    from langchain_openai import OpenAIEmbeddings

    client = OpenAIEmbeddings(model="all-minilm-l6-v2", base_url=f"{truth.http}/v1", api_key=truth.key)
    truth.check_vectors(client.embed_documents(truth.texts))
    truth.check_vectors([client.embed_query(text) for text in truth.texts])
    shutil.rmtree(folder)


def check_openai_with_text(truth: Truth) -> None:
    """langchain-openai: `OpenAIEmbeddings(check_embedding_ctx_length=False)`, which sends text"""
    from langchain_openai import OpenAIEmbeddings

    client = OpenAIEmbeddings(
        model="x", base_url=f"{truth.http}/v1", api_key=truth.key, check_embedding_ctx_length=False
    )
    truth.check_vectors(client.embed_documents(truth.texts))


def check_cohere(truth: Truth) -> None:
    """langchain-cohere: `CohereRerank`"""
    from langchain_cohere import CohereRerank

    client = CohereRerank(model="x", base_url=truth.http, cohere_api_key=truth.key, top_n=None)
    found = client.rerank(documents=truth.passages, query=truth.query)
    truth.check_scores([(each["index"], each["relevance_score"]) for each in found])


def check_infinity(truth: Truth) -> None:
    """langchain-community: `InfinityEmbeddings`, batches of 128, 32 at a time (it sends no key)"""
    from langchain_community.embeddings import InfinityEmbeddings

    client = InfinityEmbeddings(model="x", infinity_api_url=truth.without_key)
    truth.check_vectors(client.embed_documents(truth.texts))
    assert len(client.embed_documents(["one text"] * 1000)) == 1000


def check_huggingface(truth: Truth) -> None:
    """langchain-huggingface: `HuggingFaceEndpointEmbeddings` with an `InferenceClient` of ours in it"""
    from huggingface_hub import InferenceClient
    from langchain_huggingface import HuggingFaceEndpointEmbeddings

    client = HuggingFaceEndpointEmbeddings(huggingfacehub_api_token=truth.key)
    client.client = InferenceClient(truth.http, token=truth.key)
    truth.check_vectors(client.embed_documents(truth.texts))
