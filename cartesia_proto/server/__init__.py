"""The same protocol from the other side: what a server reads, and what it answers.

This package parses requests, validates them against the protocol as each API version has it, and serialises answers in
that version's shape. It is sans-IO like everything here: heads and bodies go in (from `wire.http1.ServerLink` or any
HTTP server), values come out. It has no voice, no catalogue and no faults of its own: `cartesia_standin` adds those.

A violation is a `Problem`: `requests.receive_request` answers it as a value, `problems.error_response` renders it.
Where the protocol is silent, the choice made is marked "our choice" at its place.
"""
