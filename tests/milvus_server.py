"""Run by tests/engines.py: milvus-lite as a server at an address, which may want a token, as a Milvus server does.

python milvus_server.py FOLDER PORT [TOKEN]
"""

from __future__ import annotations

import base64
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from pymilvus.grpc_gen import milvus_pb2_grpc

LONGEST = 256 * 2**20  # bytes of a message
REFUSAL = "auth check failure, please check api key is correct"  # the words of Milvus 2


class Asking(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no annotations
    """Answers whoever has the token."""

    def __init__(self, token: str) -> None:
        self._wanted = ("authorization", base64.b64encode(token.encode()).decode())

    def intercept_service(self, answer: Any, asked: Any) -> Any:
        if self._wanted in [(name, value) for name, value in asked.invocation_metadata]:
            return answer(asked)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)
        )


def main(folder: str, port: str, token: str = "") -> None:
    server = grpc.server(
        ThreadPoolExecutor(10),
        interceptors=[Asking(token)] if token else [],
        options=[(f"grpc.max_{way}_message_length", LONGEST) for way in ("send", "receive")],
    )
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(MilvusLite(folder)), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
