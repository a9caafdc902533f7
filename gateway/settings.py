"""Settings of the gateway: flags (--kebab-case), environment (SIFTLINE_GATEWAY_*), defaults. Read once, then frozen."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from serving.settings import ServerSettings


class GatewaySettings(ServerSettings):
    """Of the gateway."""

    model_config = SettingsConfigDict(env_prefix="SIFTLINE_GATEWAY_", cli_prog_name="python -m gateway")

    LIVE: ClassVar[frozenset[str]] = ServerSettings.LIVE | {
        "cache_budget_s",
        "embed_budget_s",
        "rerank_budget_s",
        "index_ef_runtime",
    }

    listen: str = Field("127.0.0.1:50050", description="HOST:PORT to serve gRPC on; 0.0.0.0 lets other machines in")
    http: str = Field("", description="HOST:PORT to serve HTTP on; empty serves gRPC only")
    http_max_body_bytes: int = Field(
        16 << 20, gt=0, description="largest HTTP body taken; JSON is read at one go, and others wait meanwhile"
    )
    openai_vocabulary: Path | None = Field(
        None, description="tiktoken file of the vocabulary of token ids that clients send; without one, the model's own"
    )
    tei_documented: bool = Field(
        False, description="answer as TEI's documentation says (413 for large batches), not as TEI does (422)"
    )
    metrics: str = Field("127.0.0.1:9100", description="HOST:PORT of /metrics; empty serves none")

    embed: str = Field(
        "127.0.0.1:50051",
        description="gRPC target of the embed service; dns:///NAME:PORT spreads over all its addresses",
    )
    rerank: str = Field("127.0.0.1:50052", description="gRPC target of the rerank service; empty searches without it")
    services_tls_ca: Path | None = Field(
        None, description="PEM file of authorities of the services' certificates; without one they are called in clear"
    )
    services_tls_cert: Path | None = Field(None, description="PEM file of the certificate to show to the services")
    services_tls_key: Path | None = Field(None, description="PEM file of that certificate's key")
    hedge_after_s: float = Field(
        0.0,
        ge=0,
        description="an interactive call to a service that takes longer is tried at another replica too, at most one "
        "in twenty; set it to the 95th percentile where there are several replicas, 0 never",
    )
    keys_file: Path | None = Field(
        None, description="TOML file of API keys (gateway/auth/keys.py); without one, everyone may call everything"
    )
    audit_log: Path | None = Field(
        None, description="file that gets a JSON line for every call that writes: who, what, outcome; none by default"
    )
    quota_url: str = Field(
        "",
        description="Redis of the keys' quotas; empty takes the cache's; without one, each gateway counts alone",
    )
    default_deadline_s: float = Field(
        30.0, gt=0, description="time for a call whose client set no deadline; lower it to shed lost callers sooner"
    )
    model_refresh_s: float = Field(
        5.0,
        gt=0,
        description="how often the models are asked for their fingerprint; also how soon readiness follows them",
    )

    cache_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis of the embedding cache; cluster+redis://NODE for a cluster, rediss:// with TLS, empty: none",
    )
    cache_ttl_s: int = Field(7 * 86_400, gt=0, description="life of a cached vector; shorter where memory is short")
    cache_budget_s: float = Field(
        0.02,
        gt=0,
        description="longest wait for the cache; above it the text is embedded, so keep it below an embedding",
    )
    cache_claim_s: float = Field(
        0.0,
        ge=0,
        description="longest wait for another gateway that computes the same text at this moment, a few times an "
        "embedding; 0 lets each compute for itself",
    )
    cache_documents: bool = Field(
        False, description="cache documents of upserts too: cheap re-indexing, but a bulk load drives queries out"
    )
    cache_salt: str = Field("", description="hashed into every key; change it to forget what is cached")

    index_url: str = Field("redis://127.0.0.1:6379/0", description="Redis with the query engine; must not evict")
    index_timeout_s: float = Field(10.0, gt=0, description="longest wait for one answer of the index")
    index_ef_runtime: int = Field(
        200, ge=10, le=4096, description="HNSW candidates looked at in a search; higher finds more and takes longer"
    )
    index_durable: bool = Field(
        True, description="acknowledge writes only once they are on disk; off acknowledges what is in memory"
    )

    max_searches: int = Field(
        256,
        ge=1,
        description="most searches at a time, one of n times the usual depth, 50, counting as n; fewer while the "
        "second stage has too much to do; the tenants that want to search share them equally",
    )
    max_upserts: int = Field(
        32, ge=1, description="upserts at a time, large ones counting as several; each holds its documents in memory"
    )
    max_embeds: int = Field(
        1024,
        ge=1,
        description="Embed calls at a time, in either lane, one of n times 2400 tokens counting as n; fewer while the "
        "embed service has too much to do; tenants share them equally",
    )
    max_reranks: int = Field(
        256,
        ge=1,
        description="Rerank calls at a time, in either lane, one of n times 7500 tokens counting as n; fewer while the "
        "rerank service has too much to do; tenants share them equally",
    )
    embed_budget_s: float = Field(
        3.0, gt=0, description="longest wait for a query's vector; after it, passages are found by their words"
    )
    words_instead: bool = Field(
        True, description="search by words when the query can't be embedded; off answers UNAVAILABLE instead"
    )
    rerank_budget_s: float = Field(
        5.0, gt=0, description="longest wait for the second stage; after it, recall order is what the caller gets"
    )
    rerank_head_start: bool = Field(
        False,
        description="in a hybrid search, send the head of BM25's list to an idle rerank service while the query is "
        "embedded; for services that do not share their cores, otherwise it costs more than it gains",
    )
    rerank_max_unknown: float = Field(
        0.75,
        ge=0,
        le=1,
        description="when a larger share of a query is unknown to the reranker's vocabulary, its scores would mean "
        "nothing: recall order is what the caller gets; 1 reranks whatever comes",
    )
    recall_weight: float = Field(
        0.0, ge=0, le=1000, description="share of cosine in the final order of collections that do not set their own"
    )
    upsert_batch: int = Field(64, ge=1, le=1024, description="documents embedded and stored at a time in an upsert")
    upsert_patience_s: float = Field(
        20.0, ge=0, description="how long an upsert waits for room or for a part that restarts before it gives up"
    )
    upsert_overlap: int = Field(
        3, ge=1, le=64, description="upsert batches being embedded at once; more keeps a large embed service busy"
    )

    @property
    def url_of_quotas(self) -> str:
        return self.quota_url or self.cache_url

    @property
    def worker_changes(self) -> dict[str, object]:
        """In what a worker differs: together they admit what one would."""
        return {
            "max_searches": -(-self.max_searches // self.workers),
            "max_upserts": -(-self.max_upserts // self.workers),
            "max_embeds": -(-self.max_embeds // self.workers),
            "max_reranks": -(-self.max_reranks // self.workers),
        }
