"""GET / and the files it loads. They are read once, come from nowhere else, and may load nothing from elsewhere."""

import hashlib
from pathlib import Path

from gateway.http.call import Call
from gateway.http.endpoint import Operation
from gateway.http.failure import NO_ROUTE
from gateway.http.reply import Reply
from serving.errors import NotFound

FILES = Path(__file__).with_name("files")
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
# Scripts and styles from here alone, none inline; no markup out of strings (trusted types); in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-cache",  # kept, but asked for again: an upgrade of the gateway shows at once
}


def operations() -> list[Operation]:
    files = {file.name: _reply(file) for file in FILES.iterdir()}

    async def page(call: Call) -> Reply:
        return _unless_known(files["index.html"], call)

    async def part(call: Call) -> Reply:
        reply = files.get(call.path["file"])
        if reply is None:
            raise NotFound("the search page has no such file", reason=NO_ROUTE)
        return _unless_known(reply, call)

    return [
        Operation("GET", "/", None, page, "The search page", None, "text/html", open=True),
        Operation("GET", "/page/{file}", None, part, "What it is made of", None, "*/*", open=True),
    ]


def _reply(file: Path) -> Reply:
    body = file.read_bytes()
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return Reply(200, body, {**_HEADERS, "etag": tag}, _MEDIA_TYPES[file.suffix])


def _unless_known(reply: Reply, call: Call) -> Reply:
    if call.headers.get("if-none-match") == reply.headers["etag"]:
        return Reply(304, b"", reply.headers, reply.media_type)
    return reply
