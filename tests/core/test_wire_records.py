"""Reading all records that have arrived."""

import pytest

from cartesia_proto.wire.records import TLS_RECORD, gather


class NoneLeftError(Exception):
    """No record has arrived."""


class Records:
    """Records that have arrived; the end behind them, if it has come too."""

    def __init__(self, *records: bytes, ended: bool = False) -> None:
        self.records = list(records)
        self.ended = ended

    def read(self, count: int) -> bytes:
        """Read so many bytes of the first one, or fewer."""
        if not self.records:
            if self.ended:
                return b""
            raise NoneLeftError
        assert 0 < count <= TLS_RECORD
        data, rest = self.records[0][:count], self.records[0][count:]
        self.records[:1] = [rest] if rest else []
        return data


FULL = b"f" * TLS_RECORD


def test_all_that_have_arrived() -> None:
    """Behind the last one, or at the end, there is nothing to be waited for."""
    for ended in (False, True):
        records = Records(FULL, b"short", FULL, ended=ended)
        assert gather(records.read, 1 << 18, NoneLeftError) == FULL + b"short" + FULL


def test_no_more_than_fits() -> None:
    """The rest is for the next call."""
    records = Records(b"short", FULL)
    assert gather(records.read, 10, NoneLeftError) == b"shortfffff"
    assert gather(records.read, 1 << 18, NoneLeftError) == FULL[5:]


def test_the_first_one() -> None:
    """Where none has arrived, that is said; so is the end."""
    with pytest.raises(NoneLeftError):
        gather(Records().read, 10, NoneLeftError)
    assert gather(Records(ended=True).read, 10, NoneLeftError) == b""
