"""Retries failed payments and sends messages until it is stopped. Each command below does one part
of that, or asks the running daemon for something about one payment."""

from __future__ import annotations

import sys

from daemon import commands


def main() -> int:
    arguments = commands.parse_arguments(__doc__)
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
