"""The process of one contender: it reads a job, does it, and writes the points.

This module knows how a contender is called, and how a module is hidden from import. It must not know any contender. It
imports nothing before it has hidden what shall be hidden.

    python -m benchmarks.worker   reads a job from standard input, writes points to standard output, both as JSON
"""

import sys
from json import dumps, loads


def main() -> None:
    """Do the job on standard input."""
    text = sys.stdin.read()
    sys.modules.update(dict.fromkeys(loads(text)["hidden"]))  # None forbids an import

    from importlib import import_module  # noqa: PLC0415 - nothing before this

    from attrs import asdict  # noqa: PLC0415 - as above

    from benchmarks.plans import Job, Point  # noqa: PLC0415 - as above

    job = Job.from_json(text)
    points: list[Point] = getattr(import_module(job.module), job.function)(job)
    print(dumps([asdict(point) for point in points]))


if __name__ == "__main__":
    main()
