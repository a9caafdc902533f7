"""Settings of the embed service: environment SIFTLINE_EMBED_*, or flags."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from serving.settings import ModelServiceSettings


class EmbedSettings(ModelServiceSettings):
    """What the embed service adds to the settings of every model service."""

    model_config = SettingsConfigDict(env_prefix="SIFTLINE_EMBED_")

    listen: str = Field("127.0.0.1:50051", description="HOST:PORT of gRPC")
    max_texts: int = Field(2048, ge=1, description="texts per request")
    max_prompt_bytes: int = Field(4096, ge=0, description="longest literal prompt, UTF-8")
