"""Which version a request gets."""

import pytest

from cartesia_proto.config import DEFAULT_VERSION
from cartesia_proto.server.problems import Problem
from cartesia_proto.server.versions import NEWEST, VERSIONS, resolve_version


def test_versions_are_in_order_and_end_with_the_default() -> None:
    """Comparison of dates as text relies on their order; the client's default is the newest."""
    assert list(VERSIONS) == sorted(set(VERSIONS))
    assert NEWEST == VERSIONS[-1] == DEFAULT_VERSION


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-06-10", "2024-06-10"),
        ("2024-11-12", "2024-06-10"),
        ("2026-04-03", "2026-03-01"),
        ("2026-08-14", "2026-08-14"),
        ("2999-01-01", "2026-08-14"),
    ],
)
def test_a_date_means_the_newest_version_not_after_it(given: str, expected: str) -> None:
    """Any day will do."""
    assert resolve_version(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "missing"), ("yesterday", "no date"), ("2026-02-30", "no date"), ("2024-06-09", "before the first")],
)
def test_no_version_is_a_bad_request(given: str | None, said: str) -> None:
    """Missing, malformed or too early: 400, and the message says which."""
    with pytest.raises(Problem, match=said) as refused:
        resolve_version(given)
    assert refused.value.status == 400
