"""What is to be measured: plans, jobs and points, and the audio that must come out.

This module knows what parent, server and contenders agree on, and how it is written as JSON. It must not know sockets,
frames or any library. A plan travels to the server in the transcript, which every client sends as it is.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Final, Literal, TypeAlias, final

from attrs import asdict, field, frozen

VARIETY: Final = 8
"""Different chunks that follow each other round and round: a power of two, so that counting on is cheap."""

SIZES: Final = (960, 4096, 16384, 65536)
"""Bytes of audio in a chunk: 20 ms of 16-bit samples at 24 kHz, and upwards."""

Mode: TypeAlias = Literal["bulk", "paced", "gathered", "silent"]
"""How the server answers: at once; one chunk in each interval; at once, when all contexts have asked; never."""


@final
@frozen
class Plan:
    """One thing that is measured.

    Attributes:
        mode: how the server answers.
        size: bytes of audio in a chunk.
        count: chunks for each context.
        contexts: how many there are at a time.
        connections: over how many they are spread.
        interval: seconds from chunk to chunk of a context, where they are paced.
        spaced: JSON with spaces after commas and colons, as Python writes it by default.
    """

    mode: Mode
    size: int
    count: int
    contexts: int = 1
    connections: int = 1
    interval: float = 0.04
    spaced: bool = False

    @property
    def command(self) -> str:
        """The plan as a transcript."""
        return json.dumps(asdict(self))

    @staticmethod
    def parse(command: str) -> "Plan":
        """The plan in a transcript."""
        return Plan(**json.loads(command))


@final
@frozen
class Job:
    """What one contender is to do in its process.

    Attributes:
        module, function: where the contender is.
        clear, encrypted: the two origins of the server, ``http://host:port`` and ``https://host:port``.
        tls: which of them to use.
        plans: what to measure, in this order.
        seconds: how long to repeat each.
        hidden: modules that shall look as if they were not installed.
    """

    module: str
    function: str
    clear: str = ""
    encrypted: str = ""
    tls: bool = False
    plans: tuple[Plan, ...] = ()
    seconds: float = 0.4
    hidden: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The origin to use."""
        return self.encrypted if self.tls else self.clear

    @property
    def websocket_origin(self) -> str:
        """The same, as WebSocket libraries have it."""
        return self.origin.replace("http", "ws", 1)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the same."""
        host, _, port = self.origin.rpartition("//")[2].rpartition(":")
        return host, int(port)

    def to_json(self) -> str:
        """The job for another process."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Job":
        """The job of another process."""
        fields = json.loads(text)
        fields["plans"] = tuple(Plan(**plan) for plan in fields["plans"])
        fields["hidden"] = tuple(fields["hidden"])
        return Job(**fields)


@final
@frozen
class Point:
    """What one contender measured for one plan.

    Attributes:
        name: of what was varied, such as the size of a chunk.
        quantities: by their names, which say the units.
    """

    name: str
    quantities: Mapping[str, float] = field(factory=dict[str, float])


class WrongAudio(Exception):  # noqa: N818 - what went wrong, not a kind of error to be handled
    """What came out is not what was sent: the figure of whoever did this is worth nothing."""


@lru_cache(maxsize=8)
def chunks(size: int) -> tuple[bytes, ...]:
    """The chunks that follow each other round and round: noise, the same in every process."""
    random = Random(size)  # noqa: S311 - noise that can be made again
    return tuple(random.randbytes(size) for _ in range(VARIETY))


@final
class Checker:
    """Compares what comes out with what was sent. It costs every contender the same.

    Attributes:
        count: chunks that were right so far.
    """

    __slots__ = ("_chunks", "_plan", "count")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chunks = chunks(plan.size)
        self.count: int = 0

    def check(self, audio: bytes | None) -> None:
        """The next chunk.

        Raises:
            WrongAudio: it is another.
        """
        if audio != self._chunks[self.count % VARIETY]:
            raise WrongAudio(f"chunk {self.count} of {self._plan} is not what was sent")
        self.count += 1

    def finish(self) -> None:
        """There are no more.

        Raises:
            WrongAudio: there should be.
        """
        if self.count != self._plan.count:
            raise WrongAudio(f"{self.count} chunks came of {self._plan}")


@final
class BodyChecker:
    """The same for audio that comes in pieces of any size."""

    __slots__ = ("_body", "_position")

    def __init__(self, plan: Plan) -> None:
        self._body = body(plan)
        self._position = 0

    def check(self, piece: bytes) -> None:
        """The next piece.

        Raises:
            WrongAudio: it is another.
        """
        if not self._body.startswith(piece, self._position):
            raise WrongAudio(f"what follows byte {self._position} of {len(self._body)} is not what was sent")
        self._position += len(piece)

    def finish(self) -> None:
        """There are no more.

        Raises:
            WrongAudio: there should be.
        """
        if self._position != len(self._body):
            raise WrongAudio(f"{self._position} bytes came of {len(self._body)}")


@lru_cache(maxsize=2)
def body(plan: Plan) -> bytes:
    """All the audio of a plan."""
    return b"".join(chunks(plan.size)[index % VARIETY] for index in range(plan.count))
