"""When a failed attempt is made again, and after how long.

Pure functions of what happened: this module knows which failures pass, what a server may ask for and how long to wait.
It must not wait, count attempts of its own, know endpoints or read a clock; chance comes in as an argument.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from cartesia_proto.errors import RETRYABLE_STATUSES, ConnectError, RemoteProtocolError, TimeoutError, TransportError
from cartesia_proto.http import Headers, Request, Response

BASE_DELAY: Final = 0.5
"""Seconds before the first retry (protocol section 9.2, as the 4.x SDK)."""

MAX_DELAY: Final = 8.0
"""Seconds no own delay exceeds (protocol section 9.2, as the 4.x SDK)."""

JITTER: Final = 0.25
"""Fraction of a delay that chance may take away (protocol section 9.2)."""

MAX_SERVER_DELAY: Final = 60.0
"""Seconds up to which a server's wish is granted; above, the call ends (protocol section 9.2, as the 4.x SDK)."""

LEAP_SECOND: Final = 60
"""What the second of an HTTP-date may be, beside 0 to 59 (RFC 9110 section 5.6.7)."""

FUTURE_YEARS: Final = 50
"""A year of two digits that appears to be further in the future is the latest past one (RFC 9110 section 5.6.7)."""

ERA: Final = 2026
"""The year that a `Date` of two digits is nearest to, since we have no clock: when the newest API version was made."""

_TIME: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_HTTP_DATES: Final = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {_TIME} GMT",  # IMF-fixdate
        rf"[A-Z][a-z]+day, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
        rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
    )
)
"""The three forms that a recipient must accept (RFC 9110 section 5.6.7)."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DECIMAL: Final = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)


def backoff(retries: int, random: Callable[[], float]) -> float:
    """The own delay before retry number `retries`, counted from 0.

    Seconds: ``min(0.5 · 2ⁿ, 8) · (1 - 0.25 · random())``, that is three quarters to the whole of 0.5, 1, 2, 4, 8, 8, …
    """
    return min(BASE_DELAY * 2.0 ** min(retries, 16), MAX_DELAY) * (1 - JITTER * random())


def retry_after(headers: Headers) -> float | None:
    """The seconds a server asks to wait, or None where it does not say so in a form understood.

    `retry-after-ms` in milliseconds comes first, then `Retry-After` in seconds or as an HTTP-date (RFC 9110 section
    10.2.3). A date is taken relative to the response's own `Date`; without one it says nothing to us, who have no
    clock.
    """
    milliseconds = (headers.get("retry-after-ms") or "").strip()  # not every HTTP client strips values
    if _DECIMAL.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = (headers.get("retry-after") or "").strip()
    if _DECIMAL.fullmatch(value):
        return float(value)
    now = _http_date((headers.get("date") or "").strip(), ERA)
    until = None if now is None else _http_date(value, now.year)
    return None if until is None or now is None else max((until - now).total_seconds(), 0.0)


def _http_date(text: str, era: int) -> datetime | None:
    """An HTTP-date in any of its three forms (RFC 9110 section 5.6.7); a leap second counts as the one before.

    Args:
        era: the year that counts as the present one: two digits mean the year that is at most 50 years after it.
    """
    found = next(filter(None, (form.fullmatch(text) for form in _HTTP_DATES)), None)
    if found is None or found["month"] not in _MONTHS:
        return None
    year, second = int(found["year"]), int(found["second"])
    if len(found["year"]) == 2:
        latest = era + FUTURE_YEARS
        year = latest - (latest - year) % 100
    month, day, hour, minute = _MONTHS.index(found["month"]) + 1, *map(int, found.group("day", "hour", "minute"))
    try:
        return datetime(year, month, day, hour, minute, 59 if second == LEAP_SECOND else second, tzinfo=UTC)
    except ValueError:
        return None


def delay_after_response(response: Response, retries: int, random: Callable[[], float]) -> float | None:
    """Seconds until the next attempt after an error status, or None where it is final.

    408, 429 and 5xx pass (design: retries), unless the server asks for more than a minute.
    """
    if response.status not in RETRYABLE_STATUSES and response.status < 500:
        return None
    wish = retry_after(response.headers)
    if wish is None:
        return backoff(retries, random)
    return wish if wish <= MAX_SERVER_DELAY else None


def delay_after_failure(
    error: TransportError | RemoteProtocolError,
    request: Request,
    received: int,
    retries: int,
    random: Callable[[], float],
) -> float | None:
    """Seconds until the next attempt after a transport failure, or None where it is final.

    Args:
        error: what happened. A failure to connect passes for every method; a timeout or a lost connection only for
            idempotent ones, because the server may have acted already; what is not `retryable` (a protocol violation,
            a proxy's or certificate's refusal) never.
        received: body bytes of a 2xx response that had arrived; after the first one nothing is repeated, because
            generation is billed and its output was already handed on.
    """
    if received or not error.retryable:
        return None
    return backoff(retries, random) if request.idempotent or _nothing_was_sent(error) else None


def _nothing_was_sent(error: TransportError | RemoteProtocolError) -> bool:
    if isinstance(error, TimeoutError):
        return error.phase in ("connect", "handshake")
    return isinstance(error, ConnectError)
