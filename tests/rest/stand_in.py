"""A stand-in for Kite's HTTP API on this machine: scripted answers, and a record of requests."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from kitepolars.rest.client import Pace


@dataclass
class Request:
    """What the stand-in was asked."""

    path: str
    params: dict[str, str]
    headers: Mapping[str, str]


@dataclass
class Answer:
    """What it says: a JSON document, or a body as it is."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @classmethod
    def success(cls, data: object) -> Self:
        return cls(body=json.dumps({"status": "success", "data": data}).encode())

    @classmethod
    def error(cls, status: int, kind: str, message: str, **headers: str) -> Self:
        said = {"status": "error", "message": message, "error_type": kind}
        return cls(status, json.dumps(said).encode(), headers)


class KiteApi(ThreadingHTTPServer):
    """Answers from a script first, then by a function of the request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []
        self.script: list[Answer] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer(404, b"<html>")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: KiteApi

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self._reply(address.path, address.query)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self._reply(self.path, self.rfile.read(length).decode())

    def _reply(self, path: str, query: str) -> None:
        params = {name: values[0] for name, values in parse_qs(query).items()}
        request = Request(path, params, dict(self.headers))
        self.server.requests.append(request)
        answer = self.server.script.pop(0) if self.server.script else self.server.answer(request)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output quiet."""


class FakeTime:
    """A clock that moves only when somebody sleeps on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pace(self, per_second: float = 3) -> Pace:
        return Pace(per_second, clock=self.clock, sleep=self.sleep)
