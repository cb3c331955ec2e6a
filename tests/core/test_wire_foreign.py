"""Heads of responses that somebody else has read, as they stood on the wire."""

import pytest

from cartesia_proto.wire.foreign import wire_head


def test_a_head() -> None:
    """Status and fields in their order; folds are spaces; what is not Latin-1 cannot have been on the wire."""
    fields = [("Content-Length", "2"), ("X-Folded", "one \r\n\ttwo\n three"), ("X-Odd", "\u20ac\xe9")]
    assert wire_head(201, fields) == (
        b"HTTP/1.1 201 \r\nContent-Length: 2\r\nX-Folded: one two three\r\nX-Odd: ?\xe9\r\n\r\n"
    )


@pytest.mark.parametrize("name", ["Transfer-Encoding", "transfer-encoding"])
def test_chunks_were_taken_away(name: str) -> None:
    """So the length is unknown, whatever was said of it; other codings stay for the link to refuse."""
    fields = [("A", "b"), (name, " Chunked"), ("content-length", "2")]
    assert wire_head(200, fields) == b"HTTP/1.1 200 \r\nA: b\r\n\r\n"
    assert wire_head(200, [(name, "gzip, chunked")]) == f"HTTP/1.1 200 \r\n{name}: gzip, chunked\r\n\r\n".encode()
