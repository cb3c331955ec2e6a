"""API versions, and which of them a request asks for.

This module knows the dates of protocol section 1.5. It must not know what changed between them: each module says so
where it matters.
"""

from typing import Final

from cartesia_proto.config import VERSION_HEADER, check_version
from cartesia_proto.errors import LocalProtocolError
from cartesia_proto.server.problems import invalid

VERSIONS: Final = ("2024-06-10", "2024-11-13", "2025-04-16", "2025-11-04", "2026-03-01", "2026-08-14")
"""Every known version, oldest first (protocol section 1.5)."""

NEWEST: Final = VERSIONS[-1]
"""What ``GET /`` reports, and the shape of an error about the version itself."""


def resolve_version(given: str | None) -> str:
    """The version that holds for a request: the newest known one not after the date it names (protocol section 1.4).

    Raises:
        Problem: 400; no date was given, it is no date, or it is before the first version. Undocumented, so this is our
            choice, as is that such an error has the newest shape: a client should learn at once that it forgot.
    """
    if given is None:
        raise invalid(f"the {VERSION_HEADER} header is missing: send a date such as {NEWEST}")
    try:
        date = check_version(given)
    except LocalProtocolError:
        raise invalid(f"the {VERSION_HEADER} header is no date of the form YYYY-MM-DD, such as {NEWEST}") from None
    reached = [version for version in VERSIONS if version <= date]
    if not reached:
        raise invalid(f"{VERSION_HEADER} {date} is before the first version, {VERSIONS[0]}")
    return reached[-1]
