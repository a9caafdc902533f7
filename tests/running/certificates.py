"""Certificates of an authority that exists for one test."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme

from siftline.tls import TLS


@dataclass(frozen=True)
class Files:
    """PEM files of one part. Each `put` replaces a file as a whole, as a mounted secret does."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def cert(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def tls(self) -> TLS:
        return TLS(self.ca, self.cert, self.key)

    def trust(self, *authorities: trustme.CA) -> None:
        self._put(self.ca, b"".join(each.cert_pem.bytes() for each in authorities))

    def identify(self, leaf: trustme.LeafCert) -> None:
        self._put(self.key, leaf.private_key_pem.bytes())
        self._put(self.cert, b"".join(each.bytes() for each in leaf.cert_chain_pems))

    def _put(self, file: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_bytes(content)
        draft.rename(file)


def local(authority: trustme.CA, seconds: float = 3600.0) -> trustme.LeafCert:
    """A certificate for this machine that ends in so many seconds."""
    return authority.issue_cert("127.0.0.1", "localhost", not_after=_in(seconds), not_before=_in(-3600))


def files(folder: Path, authority: trustme.CA) -> Files:
    """Of a part of this machine that trusts the authority it comes from."""
    made = Files(folder)
    made.trust(authority)
    made.identify(local(authority))
    return made


def _in(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
