"""`python -m gateway`: builds the parts and serves."""

from gateway.app import SERVICES, App
from gateway.settings import GatewaySettings
from serving import live, logs, tracing
from serving.health import Health
from serving.server import run, serve
from serving.telemetry import start_metrics_server
from serving.workers import run_workers


async def main() -> None:
    settings = GatewaySettings(_cli_parse_args=True)
    logs.configure(settings.log_format, calls=settings.log_calls)
    if settings.workers > 1:
        await run_workers("gateway", settings, settings.worker_changes)
        return
    tracing.start("gateway", settings.traces, settings.trace_share)
    health = Health(SERVICES)
    app = App(settings, health)
    live.follow(settings, app.adopt)
    start_metrics_server(settings.metrics)
    try:
        await serve(
            settings,
            app.register,
            SERVICES,
            health,
            interceptors=app.interceptors,
            started=app.start,
            stopping=app.drain,
        )
    finally:
        await app.aclose()


if __name__ == "__main__":
    run(main)
