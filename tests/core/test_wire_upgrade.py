"""The handshake of a WebSocket: what is asked, and what makes an answer a yes, on both sides."""

import pytest
from wsproto.utilities import generate_accept_token

from cartesia_proto.config import Limits
from cartesia_proto.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError
from cartesia_proto.flow import Failure
from cartesia_proto.http import FilePart, Headers, Request, Response, Upload
from cartesia_proto.wire.chunked import TURN
from cartesia_proto.wire.http1 import RequestHead, ServerLink
from cartesia_proto.wire.upgrade import (
    Agreement,
    ClientHandshake,
    HandshakeOutcome,
    acceptance,
    choose_compression,
    refuse_upgrade,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3
URL = "https://api.test/tts/websocket?x=canary"
ASKING = (("Authorization", "Bearer canary"), ("Accept", "*/*"))
GOOD = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def asking(*fields: tuple[str, str], deflate: bool = False, limits: Limits = Limits()) -> ClientHandshake:
    """A client's handshake that was just begun."""
    return ClientHandshake(Request("GET", URL, Headers([*ASKING, *fields])), limits, deflate=deflate, now=0.0)


def request_head(handshake: ClientHandshake) -> RequestHead:
    """What a server makes of it."""
    link = ServerLink(10.0, Limits())
    link.receive_data(handshake.data_to_send(), 0.0)
    head = link.next_event()
    assert isinstance(head, RequestHead)
    return head


def accept_of(head: RequestHead) -> str:
    """The accept token for a request's key."""
    key = dict(head.headers.reveal())["Sec-WebSocket-Key"]
    return generate_accept_token(key.encode()).decode()


def answered(handshake: ClientHandshake, *fields: tuple[str, str], trailing: bytes = b"") -> HandshakeOutcome | None:
    """The outcome of a 101 with these fields; the accept token is the right one where it is left empty."""
    head = request_head(handshake)
    said = "".join(f"{name}: {value or accept_of(head)}\r\n" for name, value in fields)
    return handshake.receive_data(f"HTTP/1.1 101 Switching\r\n{said}\r\n".encode() + trailing, 1.0)


UPGRADE, CONNECTION, ACCEPT = (
    ("Upgrade", "WebSocket"),
    ("Connection", "keep-alive, upgrade"),
    ("Sec-WebSocket-Accept", ""),
)


def test_what_is_asked() -> None:
    """The request's own headers and those of the handshake; a key of 16 bytes that no other handshake has."""
    head = request_head(asking(("Connection", "close")))
    sent = dict(head.headers.reveal())
    assert (head.method, head.target) == ("GET", "/tts/websocket?x=canary")
    assert set(ASKING) <= set(sent.items())
    assert (sent["Connection"], sent["Upgrade"], sent["Sec-WebSocket-Version"]) == ("Upgrade", "websocket", "13")
    assert "Sec-WebSocket-Extensions" not in sent
    assert refuse_upgrade(head) is None
    assert sent["Sec-WebSocket-Key"] != dict(request_head(asking()).headers.reveal())["Sec-WebSocket-Key"]
    assert dict(request_head(asking(deflate=True)).headers)["Sec-WebSocket-Extensions"] == "permessage-deflate"


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", URL, Headers()),
        Request("GET", URL, Headers(), b"x"),
        Request("GET", URL, Headers(), Upload((FilePart("clip", "x.wav"),))),
    ],
)
def test_only_a_get_without_a_body_asks(request_: Request) -> None:
    """RFC 6455 section 4.1."""
    with pytest.raises(LocalProtocolError, match="GET without a body"):
        ClientHandshake(request_, Limits(), deflate=False, now=0.0)


def test_a_yes() -> None:
    """Names and tokens in any case; what follows belongs to the WebSocket."""
    outcome = answered(asking(), UPGRADE, CONNECTION, ACCEPT, trailing=b"\x81\x00")
    assert isinstance(outcome, Agreement)
    assert (outcome.response.status, outcome.deflate, outcome.trailing) == (101, None, b"\x81\x00")


def test_a_yes_in_lists() -> None:
    """Tokens may be spread over fields and have empty elements between them; a parameter may be quoted."""
    upgrade = ("Upgrade", ", WEBSOCKET ,")
    connection = (("Connection", ", keep-alive"), ("connection", "Upgrade ,,"))
    extensions = ("Sec-WebSocket-Extensions", ', permessage-deflate ;server_max_window_bits = "12",')
    outcome = answered(asking(deflate=True), upgrade, *connection, ACCEPT, extensions)
    assert isinstance(outcome, Agreement)
    assert outcome.deflate is not None


def test_nonsense_is_no_answer_and_not_waited_out() -> None:
    """What can be no HTTP ends the handshake when it is seen."""
    outcome = asking().receive_data(b"SSH-2.0-OpenSSH_9.6\r\n", 1.0)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, RemoteProtocolError)


def test_a_yes_in_pieces() -> None:
    """Nothing is decided before the head is whole; interim responses are no refusals."""
    handshake = asking()
    accept = accept_of(request_head(handshake))
    answer = (
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        f"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()
    assert all(handshake.receive_data(answer[i : i + 1], 1.0) is None for i in range(len(answer) - 1))
    assert isinstance(handshake.receive_data(answer[-1:], 1.0), Agreement)


def test_a_yes_with_compression() -> None:
    """Only where it was offered."""
    extension = ("Sec-WebSocket-Extensions", "permessage-deflate")
    outcome = answered(asking(deflate=True), UPGRADE, CONNECTION, ACCEPT, extension)
    assert isinstance(outcome, Agreement)
    assert outcome.deflate is not None
    outcome = answered(asking(), UPGRADE, CONNECTION, ACCEPT, extension)
    assert isinstance(outcome, Failure)
    outcome = answered(asking(deflate=True), UPGRADE, CONNECTION, ACCEPT, ("Sec-WebSocket-Extensions", "canary"))
    assert isinstance(outcome, Failure)


def test_a_subprotocol() -> None:
    """One that the caller's own header asked for."""
    protocol = ("Sec-WebSocket-Protocol", "b")
    outcome = answered(asking(("Sec-WebSocket-Protocol", "a, b")), UPGRADE, CONNECTION, ACCEPT, protocol)
    assert isinstance(outcome, Agreement)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ([], "does not say Upgrade"),
        ([UPGRADE, ACCEPT], "does not say Upgrade"),
        ([("Upgrade", "h2c"), CONNECTION, ACCEPT], "does not say Upgrade"),
        ([UPGRADE, CONNECTION], "does not fit the key"),
        ([UPGRADE, CONNECTION, ("Sec-WebSocket-Accept", "canary")], "does not fit the key"),
        ([UPGRADE, CONNECTION, ACCEPT, ACCEPT], "does not fit the key"),
        ([UPGRADE, CONNECTION, ACCEPT, ("Sec-WebSocket-Protocol", "canary")], "subprotocol"),
        ([UPGRADE, CONNECTION, ACCEPT, ("Sec-WebSocket-Extensions", "canary")], "extension"),
        ([("Upgrade", "wébsocket"), CONNECTION, ACCEPT], "does not say Upgrade"),
    ],
)
def test_a_101_that_is_no_yes(fields: list[tuple[str, str]], complaint: str) -> None:
    """Somebody answered who does not speak WebSocket; nothing of it is repeated."""
    outcome = answered(asking(), *fields)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, RemoteProtocolError)
    assert outcome.error.scope == "connection"
    assert complaint in str(outcome.error)
    assert "canary" not in str(outcome.error)


def test_a_refusal_is_a_response() -> None:
    """With its whole body, cut at the limit for errors; also one that broke off."""
    handshake = asking(limits=Limits(error=10))
    outcome = handshake.receive_data(
        b"HTTP/1.1 401 No\r\nX-Request-Id: r1\r\nContent-Length: 100\r\n\r\n" + b"x" * 20, 1.0
    )
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.request_id, outcome.body) == (401, "r1", b"x" * 10)
    handshake = asking()
    assert handshake.receive_data(b"HTTP/1.1 429 Slow\r\nContent-Length: 100\r\n\r\ntoo many", 1.0) is None
    outcome = handshake.receive_eof(2.0)
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.body) == (429, b"too many")


def test_no_answer() -> None:
    """The connection ended, or something else than HTTP answered."""
    outcome = asking().receive_eof(1.0)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, ConnectionLost)
    outcome = asking().receive_data(b"SSH-2.0-canary\r\n\r\n", 1.0)
    assert isinstance(outcome, Failure)
    assert "canary" not in str(outcome.error)
    outcome = asking(limits=Limits(head=100)).receive_data(b"HTTP/1.1 101 OK\r\nX: " + b"x" * 100, 1.0)
    assert isinstance(outcome, Failure)


# The server.


def head(*fields: tuple[str, str], method: str = "GET") -> RequestHead:
    """A request as a server received it."""
    return RequestHead(method, "/tts/websocket", Headers.received(fields))


def changed(name: str, *values: str) -> RequestHead:
    """A good handshake with one field changed, or left out."""
    return head(*((key, text) for key, text in GOOD if key != name), *((name, value) for value in values))


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        (head(), 426, ("Upgrade", "websocket")),
        (changed("Upgrade", "h2c"), 426, ("Upgrade", "websocket")),
        (changed("Connection", "close"), 426, ("Upgrade", "websocket")),
        (changed("Sec-WebSocket-Version", "8"), 426, ("Sec-WebSocket-Version", "13")),
        (changed("Sec-WebSocket-Version"), 426, ("Sec-WebSocket-Version", "13")),
        (changed("Sec-WebSocket-Key"), 400, None),
        (changed("Sec-WebSocket-Key", "dGhlIHNhbXBsZQ=="), 400, None),
        (changed("Sec-WebSocket-Key", "no base64"), 400, None),
        (changed("Sec-WebSocket-Key", "é"), 400, None),
        (head(*GOOD, method="POST"), 400, None),
    ],
)
def test_what_is_no_handshake(request_: RequestHead, status: int, field: tuple[str, str] | None) -> None:
    """The refusal says what to do."""
    refusal = refuse_upgrade(request_)
    assert refusal is not None
    assert refusal.status == status
    assert field is None or field in tuple(refusal.headers)
    assert refusal.body


def test_a_handshake() -> None:
    """The accept token of RFC 6455 section 1.3; compression as the client offers it, if it is wanted."""
    good = head(*GOOD)
    assert refuse_upgrade(good) is None
    assert dict(acceptance(good, None)) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }
    assert choose_compression(good) is None
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
    deflate = choose_compression(head(*GOOD, offer))
    assert deflate is not None
    assert dict(acceptance(good, deflate))["Sec-WebSocket-Extensions"] == "permessage-deflate"


def test_a_refusal_in_tiny_chunks() -> None:
    """It is taken whole at once: what can be said of a handshake is said by the call that gives its last byte."""
    handshake = asking()
    body = b"1\r\nx\r\n" * (2 * TURN) + b"0\r\n\r\n"
    outcome = handshake.receive_data(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 1.0)
    assert isinstance(outcome, Response)
    assert len(outcome.body) == 2 * TURN
