"""`python -m tests.hurried`: the real daemon, for whose schedule a minute lasts a second."""

from __future__ import annotations

import sys

import schedule

from daemon import __main__ as daemon

if __name__ == "__main__":
    setattr(schedule.Job, "minutes", schedule.Job.seconds)  # noqa: B010
    sys.exit(daemon.main())
