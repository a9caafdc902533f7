"""The gateway's parts, put together from its settings."""

import asyncio

import grpc

from gateway.api import kserve
from gateway.api.cache import CacheServicer
from gateway.api.embed import EmbedServicer
from gateway.api.guarded import guarded
from gateway.api.rerank import RerankServicer
from gateway.api.search import SearchServicer
from gateway.api.tei.embedding import TeiEmbed, TeiInfo, TeiTokenize
from gateway.api.tei.reranking import TeiPredict, TeiRerank
from gateway.audit import Audit
from gateway.auth.interceptor import Authorization
from gateway.auth.keys import Keys
from gateway.cache_contents import CacheContents
from gateway.chunking import Chunker
from gateway.chunks import Chunks
from gateway.clients import EmbedClient, RerankClient, Service
from gateway.dialects import tei_pb2, tei_pb2_grpc
from gateway.embedder import Embedder
from gateway.embedding_cache import EmbeddingCache
from gateway.http.application import Core, application
from gateway.http.server import HttpServer
from gateway.ingest import Ingest
from gateway.quota.quota import Quota
from gateway.readiness import Readiness
from gateway.recall.rebuild import Rebuild
from gateway.recall.redis_index import RedisIndex
from gateway.recall.registry import Registry
from gateway.recalling import Recalling
from gateway.reindex import Reindex
from gateway.reranking import Reranking
from gateway.search import Search
from gateway.settings import GatewaySettings
from gateway.tasks import end
from serving.errors import StartupError
from serving.health import Health
from serving.tls import files, server_context
from siftline.cache.v1 import cache_pb2, cache_pb2_grpc
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from siftline.search.v1 import search_pb2, search_pb2_grpc

SERVICES = (
    search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name,
    embed_pb2.DESCRIPTOR.services_by_name["EmbedService"].full_name,
    rerank_pb2.DESCRIPTOR.services_by_name["RerankService"].full_name,
    cache_pb2.DESCRIPTOR.services_by_name["CacheService"].full_name,
    *(service.full_name for service in tei_pb2.DESCRIPTOR.services_by_name.values()),
)


class App:
    """Everything behind the server. Made inside a running event loop; raises StartupError for a URL that is none."""

    def __init__(self, settings: GatewaySettings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._audit = Audit(settings.audit_log) if settings.audit_log is not None else None
        self._keys = Keys(settings.keys_file) if settings.keys_file is not None else None
        tls = files("services", settings.services_tls_ca, settings.services_tls_cert, settings.services_tls_key)
        self._embed = EmbedClient(Service(settings.embed, settings.max_message_bytes, tls, settings.hedge_after_s))
        rerank = Service(settings.rerank, settings.max_message_bytes, tls, settings.hedge_after_s)
        self._rerank = RerankClient(rerank) if settings.rerank else None
        try:
            self._cache = _cache(settings)
            self._contents = CacheContents(settings.cache_url) if settings.cache_url else None
            self._index = RedisIndex(
                settings.index_url,
                timeout_s=settings.index_timeout_s,
                ef_runtime=settings.index_ef_runtime,
                durable=settings.index_durable,
            )
            self._quota = Quota(settings.url_of_quotas)
        except ValueError as error:
            raise StartupError(f"cache, index or quota URL: {error}") from error
        self._registry = Registry(self._index.redis, self._index, settings.index_timeout_s)
        self._embedder = Embedder(self._embed, self._cache, settings.cache_salt)
        self._readiness = Readiness(health, self._embed, self._rerank, self._index, self._registry, settings)
        self._watch: asyncio.Task[None] | None = None
        self._core = self._servicers()
        self._http: HttpServer | None = None

    @property
    def interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        """What calls go through before they are looked at."""
        return [Authorization(self._keys)] if self._keys is not None else []

    @property
    def http_port(self) -> int:
        """Of the started HTTP server, 0 when there is none."""
        return self._http.port if self._http is not None else 0

    def adopt(self, settings: GatewaySettings) -> None:
        """Those that may change while the gateway runs (GatewaySettings.LIVE)."""
        self._index.ef_runtime = settings.index_ef_runtime
        self._recalling.embed_budget_s = settings.embed_budget_s
        self._reranking.budget_s = settings.rerank_budget_s
        if self._cache is not None:
            self._cache.budget_s = settings.cache_budget_s

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the services, and those of other servers beside them."""
        search_pb2_grpc.add_SearchServiceServicer_to_server(self._core.search, server)
        embed_pb2_grpc.add_EmbedServiceServicer_to_server(self._core.embed, server)
        rerank_pb2_grpc.add_RerankServiceServicer_to_server(self._core.rerank, server)
        cache = CacheServicer(self._contents, self._embed)
        described = cache_pb2.DESCRIPTOR.services_by_name["CacheService"]
        cache_pb2_grpc.add_CacheServiceServicer_to_server(guarded(cache, described, self._quota, self._audit), server)
        self._register_dialects(server)

    def _register_dialects(self, server: grpc.aio.Server) -> None:
        core = self._core
        tei_pb2_grpc.add_InfoServicer_to_server(TeiInfo(core.embed), server)
        tei_pb2_grpc.add_EmbedServicer_to_server(TeiEmbed(core.embed), server)
        tei_pb2_grpc.add_TokenizeServicer_to_server(TeiTokenize(core.embed), server)
        tei_pb2_grpc.add_RerankServicer_to_server(TeiRerank(core.rerank), server)
        tei_pb2_grpc.add_PredictServicer_to_server(TeiPredict(core.rerank), server)
        kserve.add_to(server, kserve.KServeServicer(core.embed, core.rerank, self._health))

    def _servicers(self) -> Core:
        settings = self._settings
        chunker, chunks = Chunker(self._embed, settings.upsert_patience_s), Chunks(self._index)
        ingest = Ingest(self._registry, self._index, self._embedder, chunker, chunks, settings)
        self._reranking = Reranking(self._rerank, settings.rerank_budget_s, settings.rerank_max_unknown)
        self._recalling = Recalling(
            self._index,
            self._embedder,
            embed_budget_s=settings.embed_budget_s,
            words_instead=settings.words_instead,
        )
        search = Search(self._registry, self._recalling, self._reranking, head_start=settings.rerank_head_start)
        timeout_s = settings.index_timeout_s
        rebuild = Rebuild(self._index.redis, self._index, self._registry, timeout_s)
        reindex = Reindex(self._registry, self._index, rebuild, self._embed, ingest, timeout_s)
        searching = SearchServicer(settings, self._registry, self._index, chunks, self._embed, ingest, search, reindex)
        embedding = EmbedServicer(self._embedder, self._embed, settings)
        scoring = RerankServicer(self._rerank, settings)
        return Core(
            guarded(searching, search_pb2.DESCRIPTOR.services_by_name["SearchService"], self._quota, self._audit),
            guarded(embedding, embed_pb2.DESCRIPTOR.services_by_name["EmbedService"], self._quota, self._audit),
            guarded(scoring, rerank_pb2.DESCRIPTOR.services_by_name["RerankService"], self._quota, self._audit),
            self._health,
        )

    async def start(self) -> None:
        """Serves HTTP, and begins to look whether the parts answer; the gateway is ready once they do."""
        settings = self._settings
        if settings.http:
            routes = application(self._core, self._keys, settings)
            self._http = HttpServer(
                settings.http,
                routes,
                server_context(settings),
                drain_seconds=settings.drain_seconds,
                reuse_port=settings.worker,
            )
            self._http.start()
        self._watch = asyncio.create_task(self._readiness.run())

    async def drain(self) -> None:
        """Answers the HTTP requests in flight."""
        if self._http is not None:
            await self._http.stop()

    async def aclose(self) -> None:
        await end(self._watch)
        await self.drain()
        if self._cache is not None:
            await self._cache.aclose()
        if self._contents is not None:
            await self._contents.aclose()
        await self._quota.aclose()
        if self._audit is not None:
            self._audit.close()
        await self._index.aclose()
        await self._embed.aclose()
        if self._rerank is not None:
            await self._rerank.aclose()


def _cache(settings: GatewaySettings) -> EmbeddingCache | None:
    if not settings.cache_url:
        return None
    return EmbeddingCache(
        settings.cache_url,
        ttl_s=settings.cache_ttl_s,
        budget_s=settings.cache_budget_s,
        claim_s=settings.cache_claim_s,
    )
