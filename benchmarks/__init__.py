"""What a message costs: this library beside the official SDK, hand-written loops and the bare floor.

``python -m benchmarks`` runs everything, ``python -m benchmarks.websocket`` (or `sse`, `body`, `paced`, `core`,
`request_path`, `imports`, `hostile`) one of them; README.md says what each measures and how to read it. A server in a
process of its own answers with bytes made beforehand; every contender runs in a fresh interpreter, takes its turn in
every round, and has each chunk of audio compared with what was sent. These modules are no part of what is installed.
"""
