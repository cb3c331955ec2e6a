"""The stand-in from a shell: ``python -m cartesia_standin --port 8765 [--key KEY]``, until Ctrl-C.

This module knows arguments and what is printed. The first line on standard output is the base URL, so that a script can
read it; a key is never printed.
"""

import argparse
import sys
import threading
from collections.abc import Sequence

from cartesia_proto.errors import LocalProtocolError
from cartesia_standin.standin import StandIn


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cartesia_standin",
        description="A stand-in for the Cartesia service on 127.0.0.1: placeholder speech, never the real voice.",
    )
    parser.add_argument("--port", type=int, default=8765, help="0 takes any that is free (default: 8765)")
    parser.add_argument("--key", help="the one API key to accept (default: every well-formed key)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the exit status."""
    arguments = _arguments(argv)
    try:
        with StandIn(port=arguments.port, key=arguments.key) as server:
            keys = "every well-formed API key" if arguments.key is None else "the given API key alone"
            print(f"accepting {keys}; Ctrl-C ends it", file=sys.stderr)
            print(server.base_url, flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except (LocalProtocolError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
