"""`python -m bench [ingest | retries | overview] [--seconds N] [--window N] [--watch N]`:
measures speed, compares, and checks targets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import ingest, overview, retries
from bench.figures import Target, lay_out
from bench.scratch import BenchError
from db.server_files import EmbeddedPostgresError

BENCHES: dict[str, Callable[[argparse.Namespace], list[Target]]] = {
    "ingest": lambda arguments: ingest.run(arguments.seconds),
    "retries": lambda arguments: retries.run(arguments.window),
    "overview": lambda arguments: overview.run(arguments.watch),
}


def main() -> int:
    arguments = parse_arguments()
    targets: list[Target] = []
    try:
        for name in [arguments.name] if arguments.name else BENCHES:
            targets += BENCHES[name](arguments)
    except (BenchError, EmbeddedPostgresError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    heads = ("target", "wanted", "measured", "")
    print("\n".join(lay_out(heads, [target.words for target in targets])))
    return 0 if all(target.met for target in targets) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=list(BENCHES), help="default: all")
    parser.add_argument(
        "--seconds",
        type=float,
        default=4,
        help="how long each case of ingest is timed (default: 4)",
    )
    parser.add_argument(
        "--window",
        type=float,
        default=120,
        help="how long retries are counted (default: 120; 0: all that is due, about 17 minutes)",
    )
    parser.add_argument(
        "--watch",
        type=float,
        default=300,
        help="how long fifty viewers look at the dashboard (default: 300)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
