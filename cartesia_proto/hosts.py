"""A host as it stands in a URL, and the forms of it that each use needs.

One text names the host of a URL, but its uses differ: a look-up wants the final dot and the zone of an address, TLS and
proxy rules want neither (RFC 6066 section 3), and the Host header keeps the dot but not the zone (RFC 9110 section 7.2,
RFC 6874 section 4). This module knows these forms and which texts are no host. It must not know who uses them. No
message repeats a host, because what was given as one may be a secret in the wrong place.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final, TypeAlias, final
from urllib.parse import unquote, urlsplit

from attrs import frozen

from cartesia_proto.errors import LocalProtocolError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_LABEL: Final = 63
"""RFC 1035 section 2.3.4."""

LONGEST_NAME: Final = 253
"""RFC 1035 section 2.3.4 allows 255 bytes on the wire, which has two more than the text."""

_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")  # RFC 3490 section 3.1: each of them is a dot
_LABEL: Final = re.compile(r"[a-z0-9_-]+")  # RFC 1123 section 2.1, and the underscore that many names have
_ZONE: Final = re.compile(r"[A-Za-z0-9._~-]+")  # RFC 6874 section 2

_AMBIGUOUS: Final = frozenset("\u00df\u03c2\u200c\u200d")
"""Characters (sharp s, final sigma, two joiners) that IDNA 2003 and IDNA 2008 encode to different names (UTS 46
section 7, "deviations"): a credential would go to whoever owns the other one."""


@final
@frozen
class Host:
    """The host of a URL.

    Attributes:
        name: for TLS, certificates and proxy rules: in lower case and A-labels, without a final dot; or an address in
            its shortest form, without brackets or zone.
        zone: of a link-local address, else empty.
        rooted: whether the name was written with a final dot, which keeps a look-up from completing it.
    """

    name: str
    zone: str = ""
    rooted: bool = False

    @property
    def lookup(self) -> str:
        """What a resolver is asked for."""
        return self.name + (f"%{self.zone}" if self.zone else "") + ("." if self.rooted else "")

    @property
    def in_header(self) -> str:
        """What stands in the Host header, in brackets if it is an IPv6 address."""
        return bracketed(self.name) + ("." if self.rooted else "")

    @property
    def in_url(self) -> str:
        """What stands in a URL: as in the header, with the zone."""
        return f"[{self.name}%25{self.zone}]" if self.zone else self.in_header


def bracketed(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def read_address(text: str) -> Address | None:
    """An IP address, or None where it is a name, or has a zone."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def host_of(url: str) -> Host:
    """The host of an absolute URL; its name is empty where the URL has none.

    Raises:
        LocalProtocolError: it is no host; the message says why.
        ValueError: it is no URL.
    """
    host = urlsplit(url).hostname
    return read_host(host) if host else Host("")


@lru_cache(maxsize=64)  # a client asks for the same one with each request
def read_host(text: str) -> Host:
    """Read a host as `urlsplit` answers it, without brackets.

    The zone of an address may follow ``%25``, as RFC 6874 has it, or ``%`` alone, as people write it.

    Raises:
        LocalProtocolError: it is no host; the message says why.
    """
    bare, _, zone = text.partition("%")
    if ":" in bare:
        return _read_address(bare, zone)
    name = _DOTS.sub(".", text)
    rooted = len(name) > 1 and name.endswith(".")
    name = _ascii(name[:-1] if rooted else name).lower()
    _check(name)
    return Host(name, rooted=rooted and read_address(name) is None)


def _read_address(bare: str, zone: str) -> Host:
    address = read_address(bare)
    if address is None:
        raise LocalProtocolError("the host is no IPv6 address")
    zone = unquote(zone.removeprefix("25") or zone)
    if zone and not _ZONE.fullmatch(zone):
        raise LocalProtocolError("the zone of the host's address has a character that no zone may have")
    return Host(str(address), zone)


def _ascii(name: str) -> str:
    """A name in A-labels (RFC 5890 section 2.3.2.1)."""
    if name.isascii():
        return name
    if _AMBIGUOUS & frozenset(name):
        raise LocalProtocolError("the host has a character that standards encode in different ways: write its A-labels")
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:  # its text repeats the name
        pass
    raise LocalProtocolError("the host cannot be encoded by IDNA (RFC 5890): a label is malformed, empty or too long")


def _check(name: str) -> None:
    if len(name) > LONGEST_NAME:
        raise LocalProtocolError(f"the host has more than {LONGEST_NAME} characters")
    for label in name.split("."):
        if not label:
            raise LocalProtocolError("the host has an empty label: two dots in a row, or one at its beginning")
        if len(label) > LONGEST_LABEL:
            raise LocalProtocolError(f"the host has a label of more than {LONGEST_LABEL} characters")
        if not _LABEL.fullmatch(label):
            raise LocalProtocolError("the host has a character that no host may have")
