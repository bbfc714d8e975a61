"""Reports of players that come twice."""

from __future__ import annotations

import pytest

from recorder.media.reports import Reports


def test_the_oldest_reports_are_forgotten() -> None:
    reports = Reports(most=2)

    def heard(report: str | None) -> bool:
        with reports.once("MF_1", report) as new:
            return not new

    assert [heard(each) for each in ("a", "b", "a", None, None)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert not heard("c")
    assert [heard(each) for each in ("c", "b", "a")] == [True, True, False]


def test_a_report_that_could_not_be_counted_was_not_heard() -> None:
    reports = Reports()
    with pytest.raises(OSError, match="later"), reports.once("MF_1", "a"):
        raise OSError("later")
    with reports.once("MF_1", "a") as new:
        assert new
