"""The service over HTTP: reads requests, refuses what is not right, and answers in JSON."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ptxbench import __version__, containment
from ptxbench.discovery import find_pairs
from ptxbench.documents import json_text
from ptxbench.errors import PtxbenchError
from ptxbench.service import openapi
from ptxbench.service.judgements import EndedJudgement, JudgementEntry, Judgements
from ptxbench.service.refusal import Refused, document
from ptxbench.service.submission import Limits, Submission, read

HEALTH_SCHEMA = "ptxbench.health/1"

MOST_BODY = 16 << 20
"""The most bytes of a request: eight of the largest candidates."""

BODY_SECONDS = 30.0
"""How long the body of a request may take to arrive."""

HOST = re.compile(r"(?:\[([^]]*)\]|([^:]*))(?::\d*)?")
"""The header `Host`: an IPv6 address in brackets, or another host, and the port."""


@dataclass(frozen=True)
class Settings:
    """`tokens`: a request needs one of them; any may be used if there are none."""

    kernels: Path
    limits: Limits = field(default_factory=Limits)
    tokens: tuple[str, ...] = ()


class Service:
    """The requests and their answers."""

    def __init__(self, settings: Settings, judgements: Judgements) -> None:
        self.settings = settings
        self.judgements = judgements
        self.tokens = [hashlib.sha256(token.encode()).digest() for token in settings.tokens]

    def application(self) -> Starlette:
        routes = [
            Route("/health", self.health, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/judgements", self.submit, methods=["POST"]),
            Route("/verdicts", self.stream, methods=["POST"]),
            Route("/judgements/{id}", self.judgement, methods=["GET", "DELETE"]),
        ]
        handlers: Mapping[Any, Any] = {
            Refused: refused, HTTPException: http_error, ClientDisconnect: disconnected, Exception: crashed,
        }  # fmt: skip
        application = Starlette(routes=routes, exception_handlers=handlers, lifespan=self.judgements.lifespan)
        application.router.redirect_slashes = False
        return application

    # ---- requests

    async def health(self, request: Request) -> Response:
        judgements = self.judgements
        return JSONResponse({
            "schema": HEALTH_SCHEMA, "version": __version__, "containment": containment.mode(), "jobs": judgements.jobs,
            "waiting": len(judgements.waiting), "running": len(judgements.running), "judged": judgements.judged,
        })  # fmt: skip

    async def openapi(self, request: Request) -> Response:
        try:
            pairs = find_pairs(self.settings.kernels)
        except PtxbenchError as error:  # the folder was moved
            raise Refused(503, str(error)) from None
        return JSONResponse(openapi.document(pairs, tokens=bool(self.tokens)))

    async def submit(self, request: Request) -> Response:
        client = self.client(request)
        entries = self.judgements.submit(client, await self.submission(request))
        return JSONResponse([entry.document() for entry in entries], 202)

    async def stream(self, request: Request) -> Response:
        client = self.client(request)
        return Verdicts(self.judgements, client, await self.submission(request))

    async def judgement(self, request: Request) -> Response:
        self.client(request)
        entry = self.judgements.find(request.path_params["id"])
        if isinstance(entry, EndedJudgement):
            pass
        elif request.method == "DELETE":
            self.judgements.cancel(entry)
        else:
            with anyio.move_on_after(seconds_to_wait(request)):
                await entry.done.wait()
        return JSONResponse(entry.document())

    # ---- parts

    def client(self, request: Request) -> Hashable:
        """Who sends a request: the token and the address. Raises Refused if it may not."""
        address = request.client.host if request.client else ""
        if not self.tokens:
            if not is_own_host(request.headers.get("host", "")):
                raise Refused(403, "The host of the request is not this machine, and the service has no token.")
            return address
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(token.strip().encode()).digest()
        matches = [
            hmac.compare_digest(digest, token_digest) for token_digest in self.tokens
        ]  # all of them, in constant time
        if scheme.lower() != "bearer" or not any(matches):
            raise Refused(401, "The token is missing or unknown. Send the header Authorization: Bearer TOKEN.")
        return matches.index(True), address

    async def submission(self, request: Request) -> Submission:
        """The submission that a request has. Raises Refused."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "The body must be JSON. Send the header Content-Type: application/json.")
        if int(request.headers.get("content-length", 0)) > MOST_BODY:  # the HTTP parser has checked that it is a number
            raise too_large()
        body = bytearray()
        try:
            with anyio.move_on_after(BODY_SECONDS) as scope:
                async for part in request.stream():
                    body += part
                    if len(body) > MOST_BODY:
                        raise too_large()
        except asyncio.CancelledError:  # the service ends, and has given the body some seconds to arrive
            raise Refused(503, "The service is ending.") from None
        if scope.cancelled_caught:
            raise Refused(408, f"The body did not arrive within {BODY_SECONDS:.0f} s.")
        return await anyio.to_thread.run_sync(read, bytes(body), self.settings.kernels, self.settings.limits)


class Verdicts(StreamingResponse):
    """A line for each judgement as soon as it has ended. The others are cancelled if the client disconnects."""

    media_type = "application/x-ndjson"

    def __init__(self, judgements: Judgements, client: Hashable, submission: Submission) -> None:
        self.judgements = judgements
        self.ended: asyncio.Queue[JudgementEntry] = asyncio.Queue()
        self.entries = judgements.submit(client, submission, self.ended.put_nowait)
        super().__init__(self.lines())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            pass  # the service ends, and the client does not read what it gets
        finally:
            for entry in self.entries:
                self.judgements.cancel(entry)

    async def lines(self) -> AsyncIterator[bytes]:
        for _ in self.entries:
            ended = await self.ended.get()
            yield json_text(ended.document(), None).encode()


def too_large() -> Refused:
    return Refused(413, f"The body has more than {MOST_BODY >> 20} MiB. Submit fewer candidates.")


def is_own_host(header: str) -> bool:
    """Whether a request to a service without tokens may name this host: localhost, or an address of this machine
    alone. So a web page cannot reach the service from a browser by a name of its own."""
    parts = HOST.fullmatch(header)
    host = (parts[1] or parts[2]) if parts else ""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def seconds_to_wait(request: Request) -> int:
    """The seconds in the query of a request. Raises Refused."""
    text = request.query_params.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= openapi.MOST_WAIT):
        raise Refused(422, f"wait is '{text[:20]}'; expected a whole number of seconds, at most {openapi.MOST_WAIT}.")
    return int(text)


# ---- errors


async def refused(request: Request, error: Refused) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(document(error.sentence), error.status, headers)


async def http_error(request: Request, error: HTTPException) -> Response:
    """An error of the framework: an unknown path, or a method that a path does not have."""
    problems = {404: "Unknown path.", 405: f"The path does not take {request.method[:20]}."}
    problem = problems.get(error.status_code)
    sentence = f"{problem} GET /openapi.json describes all requests." if problem else error.detail
    return JSONResponse(document(sentence), error.status_code, error.headers)


async def disconnected(request: Request, error: ClientDisconnect) -> Response:
    """The client has gone before the end of its body, so the answer is not read."""
    return JSONResponse(document("The body is incomplete."), 400)


async def crashed(request: Request, error: Exception) -> Response:
    return JSONResponse(document(f"ptxbench itself failed: {type(error).__name__}. Report a bug."), 500)
