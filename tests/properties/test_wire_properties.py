"""Whatever arrives, in whatever pieces: the same events, never an exception, always an end."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from typing import TypeVar

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cartesia_proto.config import Limits
from cartesia_proto.errors import CartesiaError, RemoteProtocolError
from cartesia_proto.http import Headers, Method, Request, Response
from cartesia_proto.wire.heads import HeadLines
from cartesia_proto.wire.http1 import (
    BodyData,
    ClientLink,
    EndOfBody,
    RequestHead,
    ResponseHead,
    ServerLink,
)
from cartesia_proto.wire.link import HttpLink, LinkFailed
from cartesia_proto.wire.proxy import Proxy, proxy_from_environment
from cartesia_proto.wire.tunnel import ConnectLink

EventT = TypeVar("EventT")

LIMITS = Limits(head=200)
GET = Request("GET", "http://api.test/", Headers())
UPGRADE = Request("GET", "http://api.test/", Headers([("Upgrade", "websocket")]))

RESPONSE_PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 204\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Folded: a\r\n b\r\n",
    b"X: " + b"x" * 90 + b"\r\n",
    b"\r\n",
    b"\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"5;" + b"x" * 190,
]

well_formed = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        (
            b"HTTP/1.1 103 Early\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
        ),
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    ]
)
plausible = st.lists(st.sampled_from(RESPONSE_PIECES) | st.binary(max_size=4), max_size=12).map(b"".join)
streams = st.one_of(well_formed, st.tuples(well_formed, plausible).map(b"".join), plausible, st.binary(max_size=400))


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The stream, cut at the places given."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(places)]


def heard(link: HttpLink[EventT], stream: Iterable[bytes]) -> list[EventT | LinkFailed]:
    """Every event of a stream and its end."""
    events: list[EventT | LinkFailed] = []
    for piece in stream:
        link.receive_data(piece, 1.0)
        events += iter(link.next_event, None)
    link.receive_eof(2.0)
    return events + list(iter(link.next_event, None))


def merged(events: Iterable[object]) -> list[object]:
    """Events with neighbouring body data joined and failures in words, so that they can be compared."""
    result: list[object] = []
    for event in events:
        match event, result[-1] if result else None:
            case BodyData(data), bytes() as before:
                result[-1] = before + data
            case BodyData(data), _:
                result.append(data)
            case LinkFailed(error), _:
                result.append((type(error), str(error)))
            case _:
                result.append(event)
    return result


@settings(max_examples=100)
@given(stream=streams, cuts=st.lists(st.integers(0, 500), max_size=8), request=st.sampled_from([GET, UPGRADE]))
def test_events_do_not_depend_on_how_a_response_is_cut(stream: bytes, cuts: list[int], request: Request) -> None:
    """In one piece, byte by byte or anyhow: the same events and, at the end, the same state."""
    told: list[tuple[list[object], str]] = []
    for cut in (pieces(stream, []), pieces(stream, cuts), pieces(stream, range(len(stream)))):
        link = ClientLink(10.0, LIMITS)
        link.send(request, 0.0)
        events = heard(link, cut)
        told.append((merged(events), link.state))
    assert told[0] == told[1] == told[2]


sizes = st.sampled_from([b"%x", b"%X", b"000%x", b"%x;ext=1", b'%x;a="b;c" ', b"%x ", b"+%x", b"%x\n", b"%xx"])
METHODS: list[Method] = ["GET", "HEAD"]
line_ends = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"", b"x\r\n"])
chunks = st.tuples(st.just(b"%x") | sizes, line_ends, st.binary(max_size=40), line_ends).map(
    lambda parts: (parts[0] % len(parts[2])) + parts[1] + parts[2] + parts[3]
)
lasts = st.sampled_from(
    [
        b"0\r\n\r\n",
        b"00;e\r\n\r\n",
        b"0\r\nbad\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"",
        b"0",
        b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ]
)
chunked_bodies = st.tuples(st.lists(chunks, max_size=6).map(b"".join), lasts).map(b"".join)


@settings(max_examples=200)
@given(
    head=st.sampled_from([b"HTTP/1.1 200", b"HTTP/1.1 204", b"HTTP/1.0 200", b"HTTP/1.1 100\r\n\r\nHTTP/1.1 500"]),
    body=chunked_bodies,
    cuts=st.lists(st.integers(0, 500), max_size=8),
    method=st.sampled_from(METHODS),
    broken=st.booleans(),
)
def test_splitting_chunks_equals_h11(head: bytes, body: bytes, cuts: list[int], method: Method, broken: bool) -> None:
    """A body that is split in place tells the same data and the same end as one that h11 reads alone.

    What can be no chunk is refused sooner, where h11 waits for more until the input ends. A bare CR or another control
    character in an extension, which h11 accepts, makes it invalid (RFC 9112 sections 2.2 and 7.1.1).
    """
    assume(re.search(rb";[^\n]*(?:\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f])", body) is None)
    stream = pieces(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body, cuts)
    told: list[tuple[list[object], str]] = []
    for splitting in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not splitting:
                patch.setattr(ClientLink, "_is_chunked", HttpLink.__dict__["_is_chunked"])
            link = ClientLink(10.0, LIMITS)
            link.send(evolve(GET, method=method), 0.0)
            for piece in stream:
                link.receive_data(piece, 1.0)
            if broken:
                link.connection_lost(2.0)
            events = heard(link, [])
            told.append((merged(events), link.state))
    assert_same_but_sooner(*told)


def assert_same_but_sooner(ours: tuple[list[object], str], of_h11: tuple[list[object], str]) -> None:
    """Both are the same; or both failed after the same events, ours because of what was sent."""
    if ours != of_h11:
        assert ours[1] == of_h11[1] == "failed"
        assert ours[0][:-1] == of_h11[0][:-1]
        assert isinstance(ours[0][-1], tuple)
        assert ours[0][-1][0] is RemoteProtocolError
        assert isinstance(of_h11[0][-1], tuple)


head_lines = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204", b"HTTP/1.0 200 \xff\t", b"HTTP/1.1  200 OK", b"HTTP/1.1 099 x", b"HTTP"),
        *(
            b"Content-Length: 0",
            b"Transfer-Encoding: chunked",
            b"Connection:close",
            b"X:\t",
            b"X : y",
            b" folded",
            b"\t",
        ),
        *(b"X: \x01\xff", b"X: \x00", b"X: \x0b", b"X: a\rb", b"\r", b":", b"X", b"", b"\x7f: y", b"X: \x7f"),
    ]
)
heads = st.tuples(
    st.lists(st.tuples(head_lines, st.sampled_from([b"\r\n", b"\n"])).map(b"".join), max_size=6).map(b"".join),
    st.sampled_from([b"\r\n", b"", b"0\r\n\r\n", b"0\r\nX: y\r\nbad\r\n\r\n"]),
).map(b"".join)


@settings(max_examples=300)
@given(
    stream=heads | heads.map(b"HTTP/1.1 200 OK\r\n".__add__) | streams, cuts=st.lists(st.integers(0, 500), max_size=8)
)
def test_lines_are_refused_that_h11_refuses(stream: bytes, cuts: list[int]) -> None:
    """Looking at each line as it comes refuses nothing that h11 accepts, and what it refuses is refused sooner."""
    told: list[tuple[list[object], str]] = []
    for looking in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not looking:
                patch.setattr(HeadLines, "take", _passing(HeadLines.take))
                patch.setattr(HeadLines, "flush", _nothing)
            link = ClientLink(10.0, LIMITS)
            link.send(GET, 0.0)
            events = heard(link, pieces(stream, cuts))
            told.append((merged(events), link.state))
    assert_same_but_sooner(*told)


def _nothing(lines: HeadLines) -> bytes:
    """No bytes: they have been passed on."""
    del lines
    return b""


def _passing(take: Callable[[HeadLines, bytes], bytes]) -> Callable[[HeadLines, bytes], bytes]:
    """What passes on all lines as they are, also bad ones, and knows no less where a head ends."""

    def pass_all(lines: HeadLines, data: bytes) -> bytes:
        take(lines, data)
        lines.fault = ""
        return data

    return pass_all


@settings(max_examples=100)
@given(stream=streams, request=st.sampled_from([GET, UPGRADE]))
def test_a_client_is_never_left_waiting(stream: bytes, request: Request) -> None:
    """When the input has ended there is a whole response, a switch or a failure; nothing is still owed."""
    link = ClientLink(10.0, LIMITS)
    link.send(request, 0.0)
    events = heard(link, [stream])
    assert link.deadline() is None
    assert link.state in ("closed", "failed", "switched")
    assert sum(isinstance(event, LinkFailed) for event in events) == (link.state == "failed")
    for event in events:
        if isinstance(event, LinkFailed):
            assert isinstance(event.error, CartesiaError)
    if link.state == "closed":
        assert isinstance(events[0], ResponseHead)
        assert events[-1] == EndOfBody()


@settings(max_examples=100)
@given(stream=streams | st.binary(max_size=50).map(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".__add__))
def test_the_other_links_never_raise_either(stream: bytes) -> None:
    """A server and a handshake with a proxy take anything and end."""
    server = ServerLink(10.0, LIMITS)
    heard(server, [stream])
    assert server.deadline() is None
    connect = ConnectLink(Proxy("proxy.test", 1), "api.test", 443, 10.0, LIMITS, 0.0)
    events = heard(connect, pieces(stream, range(len(stream))))
    assert len(events) == 1
    assert connect.deadline() is None


answers = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhello\n\n",
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\nab\n\n",
        b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\n\n",
        b"HTTP/1.1 204 No\n\n",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\r\na\n\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    ]
)


@settings(max_examples=100)
@given(exchanges=st.lists(answers, min_size=2, max_size=4), cuts=st.lists(st.integers(0, 500), max_size=6))
def test_one_answer_after_another(exchanges: list[bytes], cuts: list[int]) -> None:
    """However an answer ends and is cut, the connection is good for the next."""
    link = ClientLink(10.0, LIMITS)
    for answer in exchanges:
        link.send(GET, 0.0)
        link.data_to_send()
        events: list[object] = []
        for piece in pieces(answer, cuts):
            link.receive_data(piece, 1.0)
            events += iter(link.next_event, None)
        assert isinstance(events[0], ResponseHead)
        assert events[-1] == EndOfBody()
        assert link.reusable


names = st.from_regex(r"X-[A-Za-z0-9]{1,10}", fullmatch=True)
values = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
fields = st.lists(st.tuples(names, values), max_size=4)
bodies = st.lists(st.binary(max_size=300), max_size=4)


@settings(max_examples=100)
@given(
    method=st.sampled_from(("GET", "POST", "PUT", "PATCH", "DELETE")),
    asked=st.tuples(fields, bodies),
    status=st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    answered=st.tuples(fields, bodies),
    chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=5),
)
def test_what_one_side_says_the_other_hears(
    method: Method,
    asked: tuple[list[tuple[str, str]], list[bytes]],
    status: int,
    answered: tuple[list[tuple[str, str]], list[bytes]],
    chunked: bool,
    cuts: list[int],
) -> None:
    """Client against server, twice on one connection: heads and bodies arrive whole, and both are ready again."""
    limits = Limits()
    client, server = ClientLink(10.0, limits), ServerLink(10.0, limits)
    for now in (0.0, 1.0):
        request_body, response_body = b"".join(asked[1]), b"".join(answered[1])
        request = Request(method, "https://api.test/x", Headers(asked[0]), request_body)
        client.send_request(request, len(request_body), now)
        for piece in asked[1]:
            client.send_body(piece)
        client.end_request()
        for piece in pieces(client.data_to_send(), cuts):
            server.receive_data(piece, now)
        head, *rest = merged(iter(server.next_event, None))
        assert isinstance(head, RequestHead)
        assert (head.method, head.target) == (method, "/x")
        assert set(asked[0]) <= set(head.headers.reveal())
        assert rest == [*([request_body] if request_body else []), EndOfBody()]

        server.send_head(Response(status, Headers(answered[0])), None if chunked else len(response_body))
        for piece in answered[1]:
            server.send_body(piece)
        server.end_response()
        for piece in pieces(server.data_to_send(), cuts):
            client.receive_data(piece, now)
        response, *rest = merged(iter(client.next_event, None))
        assert isinstance(response, ResponseHead)
        assert response.response.status == status
        assert set(answered[0]) <= set(response.response.headers.reveal())
        assert rest == [*([response_body] if response_body else []), EndOfBody()]
        assert client.reusable
        assert server.reusable


@settings(max_examples=100)
@given(url=st.text(max_size=40) | st.text(st.sampled_from("htp:/@[]%?#.a1 "), max_size=30).map("http://".__add__))
def test_a_proxy_url_is_read_or_refused(url: str) -> None:
    """Any text gives a proxy or the library's own error."""
    with suppress(CartesiaError):
        proxy = Proxy.from_url(url)
        assert proxy.host
        assert 0 < proxy.port < 65536


@settings(max_examples=100)
@given(no_proxy=st.text(max_size=30) | st.text(st.sampled_from("a.*:[]1, "), max_size=20), host=st.text(max_size=10))
def test_no_proxy_may_be_anything(no_proxy: str, host: str) -> None:
    """What cannot be understood matches nothing."""
    proxy = proxy_from_environment("https", host, 443, {"https_proxy": "http://p:1", "no_proxy": no_proxy})
    assert proxy in (None, Proxy("p", 1))
