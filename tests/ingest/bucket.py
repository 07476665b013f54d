"""A bucket "bucket" behind a server that speaks as much of S3 as listing and reading need."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class Bucket(SimpleHTTPRequestHandler):
    """As much of an S3 server as listing and reading need."""

    objects: Mapping[str, bytes]

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        key = unquote(split.path).removeprefix("/bucket").removeprefix("/")
        if key in self.objects:
            return self._answer(self.objects[key], "application/octet-stream")
        prefix = parse_qs(split.query).get("prefix", [""])[0]
        rows = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(content)}</Size><ETag>&quot;{len(content)}&quot;</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name, content in self.objects.items()
            if name.startswith(prefix)
        )
        told = (
            f"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        )
        return self._answer(told.encode(), "application/xml", 404 if key else 200)

    do_HEAD = do_GET

    def _answer(self, content: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Length", len(content)),
            ("Content-Type", kind),
            ("ETag", f'"{len(content)}"'),
        ):
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def bucket_of(objects: Mapping[str, bytes]) -> Iterator[str]:
    """The address of a server with these objects, for fsspec's `endpoint_url`; it asks for no credentials."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Filled", (Bucket,), {"objects": objects}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
