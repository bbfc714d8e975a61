"""Limits, formats, parts and speed of uploads: pure."""

from __future__ import annotations

import pytest

from recorder.errors import BadUpload, FileTooLarge, FormatRefused, UploadIncomplete
from recorder.uploads.formats import announced_format, extension_of, format_of_type
from recorder.uploads.limits import UploadLimits
from recorder.uploads.meter import Meter
from recorder.uploads.parts import Plan
from storage.objects import Part

MIB = 1 << 20
ALLOWED = ("mp4", "webm", "avi", "mov")


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "content_type", "found"),
    [
        ("a.mp4", "video/mp4", "mp4"),
        ("a.MP4", "", "mp4"),
        ("a.mp4", "application/octet-stream", "mp4"),
        ("a", "video/webm;codecs=vp8,opus", "webm"),
        ("a.txt", "video/webm", "webm"),  # an extension that says nothing of media
        ("a.webm", "video/mp4", "mp4"),  # the bytes will say
        ("a.mp4", "audio/mp4", "mp4"),
        ("a.qt", "", "mov"),
        ("a.mkv", "video/mp4", None),
        ("a.mp4", "text/html", None),
        ("a.txt", "", None),
        ("mp4", "", None),
        (".mp4", "", None),
        ("a.m4a", "audio/mp4", None),
    ],
)
def test_the_format_that_is_announced(filename: str, content_type: str, found: str | None) -> None:
    assert announced_format(filename, content_type, ALLOWED) == found


def test_types_and_extensions_whatever_their_case() -> None:
    assert format_of_type("Audio/MPEG; charset=x") == "mp3"
    assert format_of_type("text/plain") is None
    assert extension_of("a.b.MoV") == "mov"
    assert extension_of("noname") == ""


# --- limits ---------------------------------------------------------------------------------------


def test_a_file_is_kept_under_the_last_component_of_its_name() -> None:
    limits = UploadLimits()
    assert limits.check("C:\\films\\Мой.MOV", 1, "").filename == "Мой.MOV"
    checked = limits.check("../../etc/a.mp4 ", 1, "Video/MP4")
    assert (checked.filename, checked.content_type, checked.extension) == (
        "a.mp4",
        "video/mp4",
        "mp4",
    )


def test_limits_are_named_when_they_are_met() -> None:
    limits = UploadLimits(largest=10)
    limits.check("a.mp4", 10, "")
    with pytest.raises(FileTooLarge, match=r"10 are allowed \(MAX_VIDEO_SIZE_MB\)") as large:
        limits.check("a.mp4", 11, "")
    assert large.value.details == {"limitBytes": 10, "fileSize": 11}
    with pytest.raises(FormatRefused, match=r"mp4, webm, avi, mov \(ALLOWED_VIDEO_FORMATS\)"):
        limits.check("a.gif", 1, "image/gif")
    for name in ("", " ", "a/", "a" * 256 + ".mp4", "a\x07.mp4", "a\ud800.mp4"):
        with pytest.raises(BadUpload) as bad:
            limits.check(name, 1, "video/mp4")
        assert bad.value.code == "bad_filename"


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [101 * MIB, 3 << 30, 500 << 30, 5 << 40])
def test_ten_thousand_parts_suffice(size: int) -> None:
    plan = Plan(size, UploadLimits().part_size(size))
    assert plan.count <= 10_000
    assert plan.part_size >= 5 * MIB
    assert sum(plan.size_of(number) for number in (1, plan.count)) <= 2 * plan.part_size
    assert (plan.count - 1) * plan.part_size + plan.size_of(plan.count) == size


PLAN = Plan(25, 10)


def test_parts_that_make_the_file_in_any_order() -> None:
    parts = [Part(3, "c", 5), Part(1, "a", 10), Part(2, "b")]
    assert [part.number for part in PLAN.check(parts)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("parts", "missing", "wrong"),
    [
        ([], [1, 2, 3], []),
        ([Part(1, "a", 10), Part(3, "c", 5)], [2], []),
        ([Part(1, "a", 10), Part(2, "b", 9), Part(3, "c", 5)], [], [2]),
        ([Part(1, "a", 10), Part(2, "b", 10), Part(3, "c", 6)], [], [3]),
        ([Part(1, "a", 10), Part(2, "b", 10), Part(3, "c", 5), Part(4, "d", 1)], [], [4]),
        ([Part(0, "a", 10), Part(2, "b", 10), Part(3, "c", 5)], [1], [0]),
    ],
)
def test_parts_that_do_not_make_the_file(
    parts: list[Part], missing: list[int], wrong: list[int]
) -> None:
    with pytest.raises(UploadIncomplete) as refused:
        PLAN.check(parts)
    assert refused.value.details is not None
    assert refused.value.details["missing"] == missing
    assert refused.value.details["wrongSize"] == wrong


def test_a_part_that_stands_twice() -> None:
    with pytest.raises(BadUpload):
        PLAN.check([Part(1, "a", 10), Part(1, "b", 10), Part(2, "b", 10), Part(3, "c", 5)])


@pytest.mark.parametrize("numbers", [[], [0], [4], [1, 2, 3, 4]])
def test_numbers_that_no_part_has(numbers: list[int]) -> None:
    PLAN.check_numbers([3, 1])
    with pytest.raises(BadUpload):
        PLAN.check_numbers(numbers)


# --- speed ----------------------------------------------------------------------------------------


def test_a_steady_upload_has_its_speed_and_its_end() -> None:
    meter = Meter(100.0)
    for second in range(1, 61):
        meter.tell(100.0 + second, second * 1_000_000)
    progress = meter.progress(160.0, 100_000_000)
    assert progress.percent == 60.0
    assert progress.speed == pytest.approx(8.0)  # Mbit/s
    assert progress.eta_seconds == pytest.approx(40.0)


def test_speed_is_that_of_now_and_not_of_long_ago() -> None:
    meter = Meter(0.0)
    for second in range(1, 101):
        meter.tell(float(second), second * 10)
    for second in range(101, 131):
        meter.tell(float(second), 1000 + (second - 100) * 1000)
    assert meter.progress(130.0, 100_000).speed * 1e6 / 8 == pytest.approx(1000.0)


def test_what_stalls_slows_down_and_takes_longer() -> None:
    meter = Meter(0.0)
    meter.tell(1.0, 1000)
    speeds = [meter.progress(float(now), 2000).speed for now in (1, 2, 10, 100)]
    assert speeds == sorted(speeds, reverse=True)
    assert len(set(speeds)) == 4


def test_before_the_first_byte_there_is_no_telling() -> None:
    progress = Meter(5.0).progress(6.0, 1000)
    assert (progress.percent, progress.speed, progress.eta_seconds) == (0.0, 0.0, None)
    assert Meter(5.0).progress(5.0, 1000).eta_seconds is None


def test_at_the_end_nothing_is_left() -> None:
    meter = Meter(0.0, 400)
    meter.tell(1.0, 1000)
    progress = meter.progress(50.0, 1000)
    assert (progress.percent, progress.eta_seconds) == (100.0, 0.0)


def test_an_upload_that_begins_anew_is_measured_anew() -> None:
    meter = Meter(0.0)
    meter.tell(1.0, 900)
    meter.tell(2.0, 100)
    assert meter.received == 100
    meter.tell(3.0, 200)
    assert meter.progress(3.0, 1000).speed * 1e6 / 8 == pytest.approx(100.0)


def test_thousands_of_samples_cost_nothing() -> None:
    meter = Meter(0.0)
    for step in range(100_000):
        meter.tell(step / 1000, step)
    assert meter.received == 99_999
    assert meter.progress(100.0, 10**6).speed * 1e6 / 8 == pytest.approx(1000.0, rel=0.1)
