"""Bytes become requests, however they are cut, as gunicorn's parser alone would read them."""

from __future__ import annotations

import itertools

import pytest
from gunicorn.config import Config
from gunicorn.http import errors
from hypothesis import given
from hypothesis import strategies as st

from payment_service.bounds import MOST_BYTES, MOST_WEBHOOK_BYTES
from payment_service.serving.incoming import (
    MOST_HEAD,
    BodyTooLarge,
    Incoming,
    Stage,
    decoded,
)

POST = b"POST /p HTTP/1.1\r\nHost: x\r\n"
HOOK = b"POST /api/v1/webhooks/stripe HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK_ERRORS = (
    errors.InvalidChunkSize,
    errors.InvalidChunkExtension,
    errors.ChunkMissingTerminator,
)
PEER = ("127.0.0.1", 1)


def an_incoming() -> Incoming:
    return Incoming(Config(), PEER)


def read(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    """Method and body of each request that is whole once all pieces have come."""
    incoming, found = an_incoming(), []
    for piece in pieces:
        incoming.feed(piece)
        while incoming.is_whole():
            request, body = incoming.take()
            found.append((request.method, decoded(request, body).read()))
    return found


def a_request(body: bytes, sizes: list[int], trailer: bool) -> bytes:
    """With `sizes` in chunks of those, else with its length."""
    if not sizes:
        return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks, at = [CHUNKED], 0
    for number, size in enumerate([*sizes, len(body)]):
        if piece := body[at : at + size]:
            extension = b" ; name=value" if number % 2 else b""
            chunks.append(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece))
        at += size
    return b"".join([*chunks, b"0\r\n", b"X-Sum: 1\r\n" if trailer else b"", b"\r\n"])


@given(
    requests=st.lists(
        st.tuples(
            st.binary(max_size=60) | st.just(b"\r\n\r\n0\r\n\r\n"),
            st.lists(st.integers(1, 20), max_size=4),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ),
    cuts=st.lists(st.integers(0, 600), max_size=12),
)
def test_however_it_is_cut(requests: list[tuple[bytes, list[int], bool]], cuts: list[int]) -> None:
    sent = b"".join(a_request(*request) for request in requests)
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    pieces = [sent[a:b] for a, b in itertools.pairwise(places)]
    assert read(pieces) == [("POST", body) for body, _, _ in requests]


def test_what_it_waits_for() -> None:
    incoming = an_incoming()
    stages = [incoming.stage]
    for piece in (b"POST /p HTTP/1.1\r\nHo", b"st: x\r\nContent-Length: 2\r\n\r\na"):
        incoming.feed(piece)
        assert not incoming.is_whole()
        stages.append(incoming.stage)
    assert stages == [Stage.NOTHING, Stage.HEADERS, Stage.BODY]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"garbage\r\n", errors.InvalidRequestLine),
        (b"GET / HTTP/1.1\nHost: x\n", errors.InvalidRequestLine),
        (b"GET / HTTP/1.1\r\nHost: x\n", errors.InvalidHeader),
        (b"GET / HTTP/9.9\r\n", errors.InvalidHTTPVersion),
        (b"x" * 9000, errors.LimitRequestLine),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MOST_HEAD, errors.LimitRequestHeaders),
        (POST + b"Content-Length: %d\r\n\r\n" % (MOST_BYTES + 1), BodyTooLarge),
        (HOOK + b"Content-Length: %d\r\n\r\n" % (MOST_WEBHOOK_BYTES + 1), BodyTooLarge),
        (CHUNKED + b"%x\r\n" % (MOST_BYTES + 1), BodyTooLarge),
        (CHUNKED + b"1\r\nx\r\n" * 30_000, BodyTooLarge),
        (CHUNKED + b"1" * 9000, errors.InvalidChunkSize),
        (CHUNKED + b"0\r\nX: " + b"x" * 9000, errors.LimitRequestHeaders),
    ],
)
def test_what_can_become_nothing_is_refused_at_once(sent: bytes, error: type[Exception]) -> None:
    """The rest need not come, and is not kept until it does."""
    incoming = an_incoming()
    incoming.feed(sent)
    with pytest.raises(error):
        incoming.is_whole()


@pytest.mark.parametrize(
    "body", [b"z\r\n", b"2\r\nabc\r\n", b"\r\n", b"-1\r\n", b"1;=\r\na\r\n0\r\n\r\n", b"1 \r\n"]
)
def test_a_bad_chunk_is_whole_and_gunicorn_refuses_it(body: bytes) -> None:
    incoming = an_incoming()
    incoming.feed(CHUNKED + body)
    assert incoming.is_whole()
    with pytest.raises(CHUNK_ERRORS):
        decoded(*incoming.take())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_webhook_may_be_longer_than_other_requests(chunked: bool) -> None:
    incoming, length = an_incoming(), MOST_WEBHOOK_BYTES
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % length
    body = bytes(length)
    incoming.feed(HOOK + head + b"\r\n\r\n")
    incoming.feed(b"%x\r\n%b\r\n0\r\n\r\n" % (length, body) if chunked else body)
    assert incoming.is_whole()
    assert decoded(*incoming.take()).read() == body
