"""Clocks: what sender reports and arrival times say about the time of capture."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.arrivals import SKEW_SPAN_US, fit_offset
from recorder.timeline import (
    SAME_CLOCK_US,
    EpochClock,
    Observation,
    SenderClock,
    fit_clocks,
    ntp_to_unix_us,
)
from tests.recorder.known_media import ntp

SERVER_US = 1_760_000_000_000_000


def observe(
    seconds: float,
    *,
    rate: int = 48000,
    interval: float = 0.02,
    sender_ahead: float = 0.0,
    rtp_ppm: float = 0.0,
    sender_ppm: float = 0.0,
    delay: float = 0.03,
    jitter: float = 0.0,
    report_every: float | None = 1.0,
    report_jitter: float = 0.0,
    report_from: float = 0.0,
    report_until: float = 1e9,
    start: float = 0.0,
    seed: int = 1,
) -> Observation:
    """A track captured at server times `start`.. on; RTP time is 0 at server time 0."""
    chance = random.Random(seed)
    seen = Observation(rate)
    arrival_us, next_report = 0, start
    for number in range(round(seconds / interval)):
        at = start + number * interval
        rtp = round(at * rate * (1 + rtp_ppm * 1e-6))
        arrival = at + delay + chance.expovariate(1 / jitter) if jitter else at + delay
        arrival_us = max(arrival_us, SERVER_US + round(arrival * 1e6))
        seen.packet(rtp, arrival_us)
        if report_every is not None and at >= next_report:
            next_report += report_every
            if not report_from <= at <= report_until:
                continue
            sent = at * (1 + sender_ppm * 1e-6) + sender_ahead + chance.gauss(0, report_jitter)
            seen.report(SERVER_US + sent * 1e6, rtp & 0xFFFF_FFFF, arrival_us)
    return seen


def capture_error_us(seen: Observation, clock: object, at: float, rtp_ppm: float = 0.0) -> float:
    """How far the clock is off at server time `at`, network delay included."""
    assert isinstance(clock, EpochClock)
    rtp = round(at * seen.clock_rate * (1 + rtp_ppm * 1e-6))
    return clock.server_us(rtp) - (SERVER_US + at * 1e6)


def test_ntp_time_is_unix_time() -> None:
    assert ntp_to_unix_us(ntp(1_760_000_000.25)) == pytest.approx(1_760_000_000_250_000, abs=1)


@given(
    ahead=st.floats(-1e6, 1e6),
    audio_delay=st.floats(0.001, 0.2),
    video_delay=st.floats(0.001, 0.4),
    rtp_ppm=st.floats(-200, 200),
)
def test_tracks_of_one_sender_are_in_sync_whatever_its_clocks_and_the_network(
    ahead: float, audio_delay: float, video_delay: float, rtp_ppm: float
) -> None:
    audio = observe(30, sender_ahead=ahead, delay=audio_delay, rtp_ppm=rtp_ppm, interval=0.1)
    video = observe(30, rate=90000, interval=0.1, sender_ahead=ahead, delay=video_delay)
    clocks = fit_clocks({"audio": audio, "video": video})
    fastest_us = min(audio_delay, video_delay) * 1e6
    for at in (0.0, 15.0, 29.9):
        audio_us = capture_error_us(audio, clocks["audio"], at, rtp_ppm)
        video_us = capture_error_us(video, clocks["video"], at)
        assert abs(audio_us - video_us) < 4_000
        assert abs(video_us - fastest_us) < 8_000


def test_two_hours_of_drifting_clocks_stay_within_limits() -> None:
    common: Any = {"sender_ahead": 5.0, "sender_ppm": 200.0, "jitter": 0.01, "report_jitter": 0.004}
    audio = observe(7200, rtp_ppm=-150.0, interval=0.5, report_every=5.0, **common)
    video = observe(7200, rate=90000, rtp_ppm=180.0, interval=0.5, seed=2, **common)
    clocks = fit_clocks({"audio": audio, "video": video})
    for at in (0.0, 1800.0, 3600.0, 7199.0):
        audio_us = capture_error_us(audio, clocks["audio"], at, -150.0)
        video_us = capture_error_us(video, clocks["video"], at, 180.0)
        assert abs(audio_us - video_us) < 10_000
        assert abs(audio_us - 30_000) < 20_000


def test_a_track_published_later_shares_the_clock_of_the_first() -> None:
    audio = observe(4000, interval=0.5, sender_ahead=-3.0, sender_ppm=200.0, delay=0.01)
    video = observe(
        100, rate=90000, interval=0.1, start=3800.0, sender_ahead=-3.0, sender_ppm=200.0, delay=0.3
    )
    clocks = fit_clocks({"audio": audio, "video": video})
    audio_us = capture_error_us(audio, clocks["audio"], 3850.0)
    video_us = capture_error_us(video, clocks["video"], 3850.0)
    assert abs(audio_us - video_us) < 4_000


def test_another_device_of_the_same_participant_has_its_own_clock() -> None:
    phone = observe(10, sender_ahead=0.0)
    laptop = observe(10, sender_ahead=20.0, start=10.0)
    clocks = fit_clocks({"phone": phone, "laptop": laptop})
    assert abs(capture_error_us(phone, clocks["phone"], 5.0) - 30_000) < 1_000
    assert abs(capture_error_us(laptop, clocks["laptop"], 15.0) - 30_000) < 1_000


def test_without_reports_arrival_decides() -> None:
    seen = observe(20, report_every=None, jitter=0.01, delay=0.05)
    clocks = fit_clocks({"audio": seen, "silent": Observation(48000)})
    assert list(clocks) == ["audio"]
    assert clocks["audio"].sender is None
    assert abs(capture_error_us(seen, clocks["audio"], 10.0) - 50_000) < 1_000


def test_a_sender_that_stops_its_rtp_clock_is_followed() -> None:
    """After 10 s of media nothing for 7 s, and the RTP clock stood still meanwhile."""
    seen = Observation(48000)
    for number in range(1000):
        at = number * 0.02 + (7.0 if number >= 500 else 0.0)
        arrival_us = SERVER_US + round(at * 1e6) + 20_000
        seen.packet(number * 960, arrival_us)
        if number % 50 == 0:
            seen.report(SERVER_US + at * 1e6, number * 960, arrival_us)
    clock = fit_clocks({"audio": seen})["audio"]
    assert clock.server_us(100 * 960) - SERVER_US == pytest.approx(2_020_000, abs=1_000)
    assert clock.server_us(900 * 960) - SERVER_US == pytest.approx(25_020_000, abs=1_000)
    assert clock.server_us(470 * 960) - SERVER_US == pytest.approx(9_420_000, abs=1_000)


def test_stray_reports_are_left_out() -> None:
    seen = observe(20)
    seen.reports.insert(10, (seen.reports[10][0] - 1, seen.reports[10][1] + 5e6))
    clock = fit_clocks({"audio": seen})["audio"]
    assert abs(capture_error_us(seen, clock, 10.0) - 30_000) < 1_000
    count = len(seen.reports)
    seen.report(SERVER_US, 48000 * 600, SERVER_US + 20_000_000)
    assert len(seen.reports) == count


def test_a_report_before_the_first_packet_counts() -> None:
    seen = Observation(48000)
    seen.report(SERVER_US, 0xFFFF_FFFF, SERVER_US)
    seen.packet(959, SERVER_US + 20_000)
    ((at, ntp_us),) = seen.reports
    assert at == pytest.approx(-20.8, abs=0.1)
    assert ntp_us == SERVER_US


def test_reports_while_the_rtp_clock_stands_still_say_nothing_new() -> None:
    clock = SenderClock([(0.0, 100.0), (0.0, 5_000_100.0), (20_000.0, 20_100.0)])
    assert clock.ntp_us(10_000.0) == pytest.approx(10_100.0)


def test_a_step_without_a_pause_lies_halfway() -> None:
    clock = SenderClock([(0.0, 0.0), (1e6, 1e6), (2e6, 9e6), (3e6, 10e6)])
    assert clock.ntp_us(1.4e6) == pytest.approx(1.4e6)
    assert clock.ntp_us(1.6e6) == pytest.approx(8.6e6)


def test_one_report_is_enough() -> None:
    clock = SenderClock([(1e6, 9e6)])
    assert [clock.ntp_us(at) for at in (0.0, 1e6, 3e6)] == [8e6, 9e6, 11e6]
    assert clock.residual_us == 0.0


def test_only_the_fastest_packet_of_a_second_is_kept() -> None:
    seen = Observation(1000)
    for timestamp, late in ((0, 50), (100, 10), (200, 90), (200, 0), (1000, 7)):
        seen.packet(timestamp, SERVER_US + timestamp * 1000 + late)
    assert seen.fastest == [(100_000.0, SERVER_US + 100_010), (1e6, SERVER_US + 1_000_007)]


@given(
    skew=st.floats(-5e-4, 5e-4),
    delays=st.lists(st.floats(0, 5e4), min_size=60, max_size=200),
)
def test_the_offset_lies_under_all_points_and_touches_one(skew: float, delays: list[float]) -> None:
    points = [(n * 2e6, 7e6 + skew * n * 2e6 + delay) for n, delay in enumerate(delays)]
    assert points[-1][0] >= SKEW_SPAN_US
    line = fit_offset(points)
    above = [y - line.at(x) for x, y in points]
    assert min(above) == pytest.approx(0, abs=1)


def test_the_offset_follows_a_skew() -> None:
    line = fit_offset([(n * 1e6, 1e6 - 150.0 * n + (n * 7919 % 13) * 1e3) for n in range(3600)])
    assert line.skew == pytest.approx(-150e-6, rel=0.05)


def test_a_short_or_absurd_slope_is_none() -> None:
    assert fit_offset([(0.0, 5.0), (1e6, 4.0)]).at(5e5) == 4.0
    assert fit_offset([(0.0, 5e6), (0.0, 7e6), (1e8, 1e6)]).skew == 0.0
    assert SAME_CLOCK_US < 1e6


@pytest.mark.parametrize("bad", range(5))
def test_one_bad_report_among_few_does_not_pull_the_others_along(bad: int) -> None:
    reports = [(at * 3e6, at * 3e6 + 1000.0 + (90_000.0 if at == bad else 0.0)) for at in range(5)]
    clock = SenderClock(reports)
    for at in (0.0, 5e6, 12e6):
        assert clock.ntp_us(at) == pytest.approx(at + 1000.0, abs=1.0)


# --- where reports end, or never were -----------------------------------------------------------------


@pytest.mark.parametrize("until", [4.0, 30.0, 600.0])
@pytest.mark.parametrize(("audio_ppm", "video_ppm"), [(200.0, -200.0), (-200.0, 200.0)])
@pytest.mark.parametrize("sender_ppm", [200.0, -200.0])
def test_reports_that_stop_early_do_not_let_the_tracks_drift_apart(
    until: float, audio_ppm: float, video_ppm: float, sender_ppm: float
) -> None:
    """Two hours in which one RTP clock runs 1.4 s ahead and the other as much behind."""
    common: Any = {
        "sender_ahead": 3.0,
        "sender_ppm": sender_ppm,
        "jitter": 0.01,
        "report_jitter": 0.002,
        "interval": 0.25,
    }
    audio = observe(7200, rtp_ppm=audio_ppm, report_every=1.0, delay=0.02, **common)
    video = observe(
        7200, rate=90000, rtp_ppm=video_ppm, report_every=1.0, report_until=until, delay=0.09,
        seed=2, **common,
    )  # fmt: skip
    clocks = fit_clocks({"audio": audio, "video": video})
    for at, limit_us in ((0.0, 40_000), (3600.0, 60_000), (7199.0, 80_000)):
        audio_us = capture_error_us(audio, clocks["audio"], at, audio_ppm)
        video_us = capture_error_us(video, clocks["video"], at, video_ppm)
        assert abs(audio_us - video_us) < limit_us / 2
        assert abs(audio_us) < 80_000


def test_reports_that_begin_late_count_for_what_came_before() -> None:
    common: Any = {"sender_ppm": 200.0, "jitter": 0.01, "interval": 0.25}
    audio = observe(7200, rtp_ppm=200.0, delay=0.02, **common)
    video = observe(
        7200, rate=90000, rtp_ppm=-200.0, report_from=7000.0, delay=0.09, seed=2, **common
    )
    clocks = fit_clocks({"audio": audio, "video": video})
    for at in (0.0, 3600.0, 7199.0):
        audio_us = capture_error_us(audio, clocks["audio"], at, 200.0)
        video_us = capture_error_us(video, clocks["video"], at, -200.0)
        assert abs(audio_us - video_us) < 20_000


def stopped_clock(pauses: dict[int, float], *, reports_until: int = 0) -> Observation:
    """20 ms packets without a break in their RTP time; each pause lies before a packet."""
    seen = Observation(48000)
    chance = random.Random(3)
    late = 0.0
    for number in range(6000):
        late += pauses.get(number, 0.0)
        at = number * 0.02 + late
        arrival_us = SERVER_US + round((at + 0.02 + chance.uniform(0, 0.015)) * 1e6)
        seen.packet(number * 960, arrival_us)
        if number % 50 == 0 and number < reports_until:
            seen.report(SERVER_US + at * 1e6, number * 960, arrival_us)
    return seen


@pytest.mark.parametrize("reports_until", [0, 1000])
def test_a_stopped_rtp_clock_is_followed_without_reports(reports_until: int) -> None:
    """A muted phone: nothing for 5 s, 30 s and 1 s, and its timestamps go on as if nothing were."""
    seen = stopped_clock({2000: 5.0, 3000: 30.0, 4000: 1.0}, reports_until=reports_until)
    clock = fit_clocks({"audio": seen})["audio"]
    for number, late in ((500, 0.0), (1999, 0.0), (2000, 5.0), (3500, 35.0), (5900, 36.0)):
        expected_us = (number * 0.02 + late + 0.02) * 1e6
        assert clock.server_us(number * 960) - SERVER_US == pytest.approx(expected_us, abs=20_000)


def test_a_network_that_holds_packets_back_is_no_stopped_clock() -> None:
    seen = Observation(48000)
    for number in range(3000):
        at = number * 0.02
        held = max(at, 23.0) if 20.0 <= at < 23.0 else at  # all of three seconds at once
        seen.packet(number * 960, SERVER_US + round((held + 0.02) * 1e6))
    clock = fit_clocks({"audio": seen})["audio"]
    for at in (10.0, 21.0, 24.0, 59.0):
        assert clock.server_us(round(at * 48000)) - SERVER_US == pytest.approx(
            (at + 0.02) * 1e6, abs=2_000
        )


def test_packets_sent_again_say_nothing_about_the_clock() -> None:
    seen, again = observe(60), Observation(48000)
    chance = random.Random(5)
    packets = [(n * 960, SERVER_US + n * 20_000 + 30_000) for n in range(3000)]
    for timestamp, arrival_us in packets:
        again.packet(timestamp, arrival_us)
        if chance.random() < 0.1:
            again.packet(timestamp - 96_000, arrival_us)
    assert again.fastest == seen.fastest
    assert not again.jumps
