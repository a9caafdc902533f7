"""TLS files: who one end of a connection is, and whom it believes; checked before they are used."""

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from siftline.errors import SiftlineError

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True)
class TLS:
    """The PEM files of one end of a connection; read again within a second when they change.

    ca: authorities that the other end's certificate has to come from; a client without it trusts those that gRPC comes
    with, a server without it asks for no certificate. cert: who this end is, its own certificate first, and key: where
    the other end asks. name: what the server's certificate is for, where that is not the host of the address.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pem:
    """What the files hold, and when the certificate ends (Unix time, infinity where there is none)."""

    ca: bytes | None
    chain: bytes | None
    key: bytes | None
    expires: float

    def for_client(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca, self.key, self.chain)

    def for_server(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.ca)


def read(tls: TLS) -> Pem:
    """Raises SiftlineError with one line that names the file and what is wrong with it."""
    if (tls.cert is None) != (tls.key is None):
        raise _wrong("a certificate and its key go together; only one of them is given")
    ca, chain, key = (_bytes(path) for path in (tls.ca, tls.cert, tls.key))
    if tls.ca is not None:
        _check(tls.ca, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=tls.ca))
    expires = float("inf")
    if tls.cert is not None and tls.key is not None:
        expires = _expiry(tls.cert, tls.key)
    return Pem(ca, chain, key, expires)


def _expiry(cert: str | os.PathLike[str], key: str | os.PathLike[str]) -> float:
    """When the certificate ends, told by a handshake in memory that trusts nothing but the certificate itself."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Without a password an encrypted key would be asked for on the terminal.
    _check(cert, lambda: server.load_cert_chain(cert, key, password=""), f" with key {key}")
    client.check_hostname = False
    client.load_verify_locations(cafile=cert)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    try:
        for end in ends + ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise _wrong(f"{cert}: certificate has expired") from error
        return float("inf")  # it is not for servers: gRPC will say what it thinks of it
    return float(ssl.cert_time_to_seconds(str((ends[0].getpeercert() or {})["notAfter"])))


def _check(path: str | os.PathLike[str], load: Callable[[], object], remark: str = "") -> None:
    try:
        load()
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not in PEM form"
        raise _wrong(f"{path}{remark}: {reason.replace('_', ' ').lower()}") from error


def _bytes(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _wrong(f"{path}: {error.strerror or error}") from error


def _wrong(message: str) -> SiftlineError:
    return SiftlineError(f"TLS: {message}", code=grpc.StatusCode.FAILED_PRECONDITION, reason="TLS_FILES")
