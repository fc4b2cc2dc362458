"""`python -m tests.hurried`: the real daemon, for whose schedule a minute lasts a second."""

from __future__ import annotations

import sys

import schedule

from daemon import __main__ as daemon

if __name__ == "__main__":
    schedule.Job.minutes = schedule.Job.seconds
    sys.exit(daemon.main())
