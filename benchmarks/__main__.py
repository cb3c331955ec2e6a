"""All benchmarks, or those that are named, as one report with the targets at its end.

    python -m benchmarks                           everything
    python -m benchmarks websocket sse             these
    python -m benchmarks --quick                   everything, in short
    python -m benchmarks --update-readme           everything, and README.md is written anew
    python -m benchmarks --only-update-readme      the same from the latest results, measuring nothing

Progress goes to standard error, the report to standard output; the exit status is 1 where a contender broke down.
"""

import sys
from pathlib import Path
from typing import Final

from benchmarks import body, core, hostile, imports, paced, readme, request_path, sse, websocket
from benchmarks.reporting import read_json
from benchmarks.running import RESULTS, Run, draw_all, finish, parser, run_all, settings
from benchmarks.targets import targets_table

RUNS: Final[dict[str, Run]] = {
    "websocket": websocket.run,
    "sse": sse.run,
    "body": body.run,
    "paced": paced.run,
    "core": core.run,
    "request_path": request_path.run,
    "imports": imports.run,
    "hostile": hostile.run,
}


def main() -> int:
    """Run them; the exit status."""
    options = parser("What a message costs, beside the official SDK, hand-written loops and the bare floor.")
    options.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(RUNS)}; default all")
    options.add_argument("--update-readme", action="store_true", help="write the figures into benchmarks/README.md")
    options.add_argument("--only-update-readme", action="store_true", help="the same, from an earlier run's file")
    arguments = options.parse_args()
    unknown = [name for name in arguments.benchmarks if name not in RUNS]
    if unknown:
        options.error(f"there is no benchmark {', '.join(unknown)}: choose from {', '.join(RUNS)}")
    output: Path = arguments.output or RESULTS / "latest.json"
    status = 0
    if not arguments.only_update_readme:
        results = run_all(RUNS, settings(arguments), arguments.benchmarks)
        summary = f"### Targets\n\n{targets_table(results)}"
        status = finish(results, output, summary, draws=not arguments.no_chart)
    if arguments.update_readme or arguments.only_update_readme:
        results, machine = read_json(output)
        readme.update(results, machine, draw_all(results, readme.README.parent / "results"))
    return status


if __name__ == "__main__":
    sys.exit(main())
