"""Whom a message is for, without parsing it: known only where nothing else can be meant."""

import pytest

from cartesia_proto.sessions.addresses import addressee, mentioned


@pytest.mark.parametrize(
    "text",
    [
        '{"context_id":"a"}',
        '{"type":"chunk", "context_id" : "a", "data":"{}"}',
        '{"type":"chunk",\n\t"context_id":\r\n"a","x":[{}]}',
        '{"x":[{}],"context_id":"a"}',
        '{"x":"\\n \\u00e9 \\\\","context_id":"a"}',
    ],
)
def test_known(text: str) -> None:
    """The member is the outermost object's, whatever the rest is."""
    assert addressee(text.encode()) == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        '"context_id":"a"',
        '["context_id"]',
        "{}",
        '{"context_id":5}',
        '{"context_id":null}',
        '{"context_id":"a","context_id":"b"}',
        '{"context_id":"a","context_\\u0069d":"b"}',
        '{"context_id":"\\u00e9"}',
        '{"x":"context_id"}',
        '{"x":"\\"context_id":"a"}',
        '{"x":{"context_id":"a"}}',
        '{"x":[],"context_id":"a","y":[]}',
        '{"x":"{","context_id":"a","y":"}"}',
        '{"x":[{"y":0,"context_id":"a"}]}',
        '{"x":0,' + " " * 100 + '"context_id":"a"}',
        '{"context_id":"a"} ',
    ],
)
def test_left_to_be_parsed(text: str) -> None:
    """There is none, it is another one's, or that would have to be found out."""
    assert addressee(text.encode()) is None


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ('{"context_id":"a","data":"AAA', "a"),
        ('{"context_id" :\n"a","context_id":"a"', "a"),
        ('x"context_id":"\xe9"', "\xe9"),
        ('{"context_id":"a","context_id":"b"', None),
        ('{"context_id":5', None),
        ('{"context_id":"a', None),
        ('{"x":"\\"context_id\\":\\"a\\""', None),
        ("garbage", None),
    ],
)
def test_mentioned(text: str, id: str | None) -> None:
    """The one id that a broken text names, however often; never one inside a string."""
    assert mentioned(text.encode()) == id
