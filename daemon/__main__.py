"""`python -m daemon` runs until it is stopped; `once` one cycle; `replay` the poison events; `stop`
and `retry-now` ask for something about one payment; `preview` writes the messages to files."""

from __future__ import annotations

import sys

from daemon import commands
from daemon.process import Daemon
from daemon.settings import DaemonSettings
from db.logs import configure_logging
from db.settings import load_settings


def main() -> int:
    arguments = commands.parse_arguments(__doc__)
    if arguments.command == "preview":
        return commands.preview(arguments.folder)
    settings = load_settings(DaemonSettings)
    configure_logging(settings.log_level, settings.log_format)
    daemon = Daemon(settings)
    return commands.run_until_signal(daemon, commands.choose_job(arguments, daemon))


if __name__ == "__main__":
    sys.exit(main())
