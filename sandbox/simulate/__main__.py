"""`python -m sandbox.simulate`: compares retry policies on the same simulated failures.

The report goes to stdout as Markdown and is the same for the same arguments. Progress goes to
stderr. It runs its own Postgres and touches no other.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Sequence

from db.server_files import EmbeddedPostgresError
from sandbox.model.levels import LEVELS
from sandbox.simulate.laboratory import run_quick_trials, run_trials
from sandbox.simulate.report import OURS_IS
from sandbox.simulate.schedules import COMPARED, POLICY_NAMES, enter_schedules
from sandbox.simulate.study import Study
from sandbox.simulate.trial import PaidTwiceError, Trial


def main(arguments: Sequence[str] | None = None) -> int:
    study, jobs = read_arguments(arguments)
    started = time.monotonic()
    try:
        results = run_trials(study.trials(), jobs, report_trial)
        print_progress(
            f"All trials done in {time.monotonic() - started:.0f} s; now the quick model."
        )
        quick = run_quick_trials(study.many_creators.trials() if study.many else (), jobs)
    except (EmbeddedPostgresError, PaidTwiceError) as error:
        print_progress(str(error))
        return 1
    print_progress(f"Done in {time.monotonic() - started:.0f} s; now the intervals.")
    enter_schedules()
    print(study.write(results, quick))
    return 0


def read_arguments(arguments: Sequence[str] | None) -> tuple[Study, int]:
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--creators", type=int, default=2, help="pooled, each with its own draws")
    parser.add_argument("--days", type=int, default=182, help="of failures, for each creator")
    parser.add_argument("--levels", type=names_among(LEVELS), default=tuple(LEVELS))
    parser.add_argument("--policies", type=names_among(POLICY_NAMES), default=COMPARED)
    parser.add_argument(
        "--limits", type=numbers, default=(3, 1), help="retries of one payment that Whop allows"
    )
    parser.add_argument(
        "--whop-attempts", type=hours, default=(24, 48, 72, 96), help="hours of Whop's own retries"
    )
    parser.add_argument("--many", type=int, default=20, help="more creators, by the quick model")
    parser.add_argument("--jobs", type=int, default=2, help="processes at work (default: 2)")
    chosen = vars(parser.parse_args(arguments))
    jobs = chosen.pop("jobs")
    if OURS_IS not in chosen["policies"]:
        parser.error(f"the others are compared with {OURS_IS}: it must be among the policies")
    return Study(**chosen), jobs


def names_among(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
        return names

    return read


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def hours(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def report_trial(trial: Trial, seconds: float, done: int, of: int) -> None:
    silent = "" if trial.mails else ", no messages"
    print_progress(
        f"{done} of {of}: {trial.policy}, {trial.level}, creator {trial.creator}, "
        f"Whop allows {trial.retry_limit}{silent}: {seconds:.0f} s"
    )


def print_progress(text: str) -> None:
    print(f"== {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
