"""`python -m db COMMAND`: reads the command line and runs one of db/commands/."""

from __future__ import annotations

import argparse
import sys

from db.commands import company, messaging, migrate, notifications, rollup, serve
from db.company_settings.validity import ChoiceError
from db.logs import configure_logging
from db.server_files import EmbeddedPostgresError
from db.settings import CommonSettings, load_settings

COMMANDS = (migrate, serve, company, messaging, notifications, rollup)


def main() -> int:
    """The exit code: 2 for a choice that cannot be saved, 1 for any other failure."""
    arguments = parse_arguments()
    settings = load_settings(CommonSettings, **arguments.fixed_settings)
    configure_logging(settings.log_level, settings.log_format)
    try:
        return int(arguments.run(arguments, settings))
    except ChoiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except EmbeddedPostgresError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m db", description="Commands for the database and for companies' settings."
    )
    parser.set_defaults(fixed_settings={})
    commands = parser.add_subparsers(required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
