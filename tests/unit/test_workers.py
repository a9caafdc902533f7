"""A worker is started with flags that give it its parent's settings, but for what is changed on purpose."""

from gateway.settings import GatewaySettings
from serving.workers import _worker


def test_settings_survive_the_command_line() -> None:
    settings = GatewaySettings(_cli_parse_args=False, cache_url="", words_instead=False, keys_file=None)
    facts = settings.model_dump(mode="json") | {"worker": True, "metrics": ""}
    command = _worker("gateway", facts, 0).command
    flags = list(command[command.index("gateway") + 1 :])
    assert GatewaySettings(_cli_parse_args=flags) == settings.model_copy(update={"worker": True, "metrics": ""})
