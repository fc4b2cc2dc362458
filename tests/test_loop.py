"""The metronome: a job that fails or could not do all neither stops nor piles up."""

from __future__ import annotations

from datetime import datetime

from schedule import Job

from daemon.loop import RUN_AGAIN_SOON, Loop


def tell_time(job: Job) -> datetime:
    assert job.next_run is not None
    return job.next_run


def count_jobs(loop: Loop) -> int:
    return len(loop.scheduler.jobs)


def test_a_job_that_could_not_do_all_goes_on_in_a_minute():
    answers = [RUN_AGAIN_SOON, RUN_AGAIN_SOON, None]
    loop = Loop((60, lambda: answers.pop(0)))
    loop.scheduler.run_all()
    assert count_jobs(loop) == 2
    minute = min(loop.scheduler.jobs, key=tell_time)
    assert (minute.interval, minute.unit) == (1, "minutes")
    loop.scheduler.run_all()
    assert answers == []
    assert count_jobs(loop) == 1


def test_a_job_that_raises_stays_on_the_schedule(caplog):
    def fail() -> None:
        raise ValueError("a bug")

    done = []
    loop = Loop((1, fail), (1, lambda: done.append(1)))
    loop.scheduler.run_all()
    loop.scheduler.run_all()
    assert done == [1, 1]
    assert count_jobs(loop) == 2
    assert caplog.text.count("fail failed") == 2


def test_it_stops_between_two_jobs():
    done: list[int] = []
    Loop((1, lambda: done.append(1))).run(lambda: bool(done))
    assert done == [1]
