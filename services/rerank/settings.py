"""Settings of the rerank service: environment SIFTLINE_RERANK_*, or flags."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from serving.settings import ModelServiceSettings


class RerankSettings(ModelServiceSettings):
    """What the rerank service adds to the settings of every model service."""

    model_config = SettingsConfigDict(env_prefix="SIFTLINE_RERANK_")

    listen: str = Field("127.0.0.1:50052", description="HOST:PORT of gRPC")
    max_passages: int = Field(1024, ge=1, description="passages per request")
    max_windows: int = Field(8192, ge=1, description="windows per request, over all passages")
