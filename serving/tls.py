"""TLS of a server and of its connections to other parts: files from the settings, followed as they change."""

import math
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

import grpc

from serving.errors import StartupError
from serving.settings import ServerSettings
from serving.telemetry import TLS_EXPIRES
from siftline.certificates import CHECK_SECONDS, Certificates, Renewed
from siftline.errors import SiftlineError
from siftline.tls import TLS, Pem

T = TypeVar("T")


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """For one port of a gRPC server; None in clear. Raises StartupError for settings or files that are wrong."""
    certificates = _of_server(settings)
    if certificates is None:
        return None

    shown = certificates.pem

    def for_next_handshake() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        if certificates.pem is shown:
            return None
        shown = certificates.pem
        return shown.for_server()

    mutual = settings.tls_client_ca is not None
    return grpc.dynamic_ssl_server_credentials(shown.for_server(), for_next_handshake, mutual)


def server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """The same for any other server of this process."""
    certificates = _of_server(settings)
    if certificates is None:
        return None
    shown, current = certificates.pem, _context(settings)

    def at_handshake(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        nonlocal shown, current
        if (now := certificates.pem) is not shown:
            with suppress(ssl.SSLError, OSError):  # they are being replaced this moment: next time
                shown, current = now, _context(settings)
        connection.context = current

    accepting = _context(settings)
    accepting.sni_callback = at_handshake
    return accepting


def _of_server(settings: ServerSettings) -> Certificates | None:
    if settings.tls_cert is None and settings.tls_key is None and settings.tls_client_ca is None:
        return None
    if settings.tls_cert is None:
        raise StartupError("tls-cert: a server that is to speak TLS needs a certificate")
    tls = TLS(settings.tls_client_ca, settings.tls_cert, settings.tls_key)
    try:
        certificates = Certificates(tls, lambda pem: note_expiry("server", pem))
    except SiftlineError as error:
        raise StartupError(str(error)) from error
    threading.Thread(target=_follow, args=(certificates,), name="tls-files", daemon=True).start()
    return certificates


def _follow(certificates: Certificates) -> NoReturn:
    """Log and metric tell of new files, good or wrong, also where nobody connects."""
    while True:
        time.sleep(CHECK_SECONDS)
        certificates.follow()


def _context(settings: ServerSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.tls_client_ca)
    context.load_cert_chain(str(settings.tls_cert), settings.tls_key)
    if settings.tls_client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def connection(open_with: Callable[[grpc.ChannelCredentials | None], T], tls: TLS | None, use: str) -> Renewed[T]:
    """What `open_with` opens to another part, in clear without `tls`; `use` is for the metric of certificates.

    Raises StartupError for files that are wrong.
    """
    try:
        return Renewed(open_with, tls, lambda pem: note_expiry(use, pem))
    except SiftlineError as error:
        raise StartupError(str(error)) from error


def files(name: str, ca: Path | None, cert: Path | None, key: Path | None) -> TLS | None:
    """For calls to the part whose settings begin with `name`; None in clear. Raises StartupError without a `ca`."""
    if ca is None and (cert is not None or key is not None):
        raise StartupError(f"{name}-tls-ca: is needed beside {name}-tls-cert and {name}-tls-key")
    return TLS(ca, cert, key) if ca is not None else None


def note_expiry(use: str, pem: Pem) -> None:
    """Shows in the metrics when the certificate ends, where there is one."""
    if pem.expires < math.inf:
        TLS_EXPIRES.labels(use).set(pem.expires)
