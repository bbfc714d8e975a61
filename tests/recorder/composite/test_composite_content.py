"""A composite is judged by its decoded content: who is where, when, in sync, and to be heard."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from recorder.composite.compose import RenderCancelled, compose
from recorder.composite.layout import Rectangle, Seat, arrange
from recorder.errors import BadRenderOptions, NothingToRender
from tests.media_truth import FRAME_RATE, measure, read_counter
from tests.recorder.composite.known_films import (
    FIRST,
    PITCH,
    Content,
    Film,
    Stage,
    beeps,
    still_moving,
    tone,
)

SIZE = (1280, 720)
WHOLE = Rectangle(0, 0, *SIZE)
NEAR = 2  # ticks: half a tick of rounding at each end, and the frame that is being shown


def places(layout: str, *who: str, **more: str) -> dict[str, Rectangle]:
    """Where each is: "alice", or "alice/screen"."""
    seats = [Seat(*_split(one)) for one in who]  # type: ignore[arg-type]
    return {
        one: tile.rectangle
        for one in who
        for tile in arrange(layout, seats, SIZE, **more)
        if tile.seat == Seat(*_split(one))  # type: ignore[arg-type]
    }


def _split(one: str) -> tuple[str, str]:
    who, _, source = one.partition("/")
    return who, source or "camera"


def shows(film: Film, at: float, place: Rectangle, who: str, since: float = 0.0) -> bool:
    """Whether the picture of `who` from `at` - `since` of their time is there."""
    expected = FIRST[who] + (at - since) * FRAME_RATE
    return abs(film.counter(at, place) - expected) <= NEAR


# --- where and when -----------------------------------------------------------------------------


def test_four_people_are_where_they_should_be_and_all_are_heard(stage: Stage) -> None:
    for who in ("alice", "bob", "carol", "dave"):
        content = Content(FIRST[who], sound=tone(PITCH[who], 0.2))
        stage.add(who, content)
    film = stage.render()
    grid = places("grid", "alice", "bob", "carol", "dave")
    for at in (0.2, 1.0, 1.8):
        for who, place in grid.items():
            assert shows(film, at, place, who), (who, at)
    for pitch in PITCH.values():
        assert film.level(pitch, 0.5, 1.5) == pytest.approx(0.2, rel=0.15)


def test_pictures_come_without_one_missing_or_twice(true_stage: Stage) -> None:
    true_stage.add("alice")
    true_stage.render(names=False)
    truth = measure(true_stage.folder / "film.mp4")
    assert truth.counters == tuple(range(FIRST["alice"], FIRST["alice"] + 60))
    assert (truth.dropped, truth.repeated, truth.backwards) == (0, 0, 0)
    assert truth.sizes == (SIZE,)


@pytest.mark.parametrize("fps", [25, 30])
def test_flash_and_beep_coincide(true_stage: Stage, fps: int) -> None:
    true_stage.add("alice", Content(FIRST["alice"], still_moving(4), sound_span=(0, 4)), at=0.31)
    true_stage.add("bob", Content(times=(), sound=tone(1, 0.0), sound_span=(0, 4.4)))
    film = true_stage.render(fps=fps)
    place = places("grid", "bob", "alice")["alice"]
    flashes, sounds = film.flashes(place), film.beeps(1000)
    assert len(flashes) == len(sounds) == 4
    for flash, beep in zip(flashes, sounds, strict=True):
        assert abs(flash - beep) < 0.04
        assert abs(beep - 0.31 - round(beep - 0.31)) < 0.02


@pytest.mark.parametrize(
    ("codec", "kind"), [("vp8", "webm"), ("vp9", "webm"), ("av1", "webm"), ("h264", "mp4")]
)
def test_every_stored_codec_is_shown(stage: Stage, codec: str, kind: str) -> None:
    stage.add("alice", Content(FIRST["alice"], codec=codec), kind=kind)
    film = stage.render()
    assert shows(film, 1.0, WHOLE, "alice")
    assert film.beeps(1000) == pytest.approx([0.0, 1.0], abs=0.02)


@pytest.mark.parametrize("fps", [25, 30])
def test_length_is_that_of_the_time_line(true_stage: Stage, fps: int) -> None:
    true_stage.add("alice", at=5.0)
    true_stage.add("bob", Content(FIRST["bob"], still_moving(1), sound_span=(0, 1)), at=7.413)
    film = true_stage.render(fps=fps)
    assert film.composite.start_seconds == 5.0
    assert film.composite.seconds == pytest.approx(3.413, abs=1 / fps)
    assert film.pictures[-1][0] + 1 / fps == pytest.approx(3.413, abs=1 / fps)
    assert len(film.sound) / 48000 == pytest.approx(3.413, abs=0.05)
    steps = np.diff([time for time, _ in film.pictures])
    assert steps == pytest.approx(np.full(len(steps), 1 / fps), abs=1e-3)


def test_who_comes_late_appears_then_and_who_leaves_is_gone(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(6), sound_span=(0, 6)))
    stage.add("bob", at=2.0)
    film = stage.render()
    both = places("grid", "alice", "bob")
    assert shows(film, 1.9, WHOLE, "alice")
    assert shows(film, 2.1, both["alice"], "alice")
    assert shows(film, 2.1, both["bob"], "bob", since=2.0)
    assert shows(film, 3.9, both["bob"], "bob", since=2.0)
    assert shows(film, 4.2, WHOLE, "alice")


def test_who_comes_back_has_the_same_place(stage: Stage) -> None:
    """Two files of one participant, with a gap between them: a tile stays, with the second's picture."""
    stage.add("alice", Content(FIRST["alice"], still_moving(6), sound=None))
    stage.add("bob")
    stage.add("bob", at=3.5)
    film = stage.render()
    both = places("grid", "alice", "bob")
    assert shows(film, 1.0, both["bob"], "bob")
    assert shows(film, 4.5, both["bob"], "bob", since=3.5)
    assert shows(film, 2.8, both["alice"], "alice")  # bob is away, and his place is kept


def test_nine_people_are_shown_by_two_threads(stage: Stage) -> None:
    """More pictures than threads that decode them."""
    people = [f"p{number}" for number in range(9)]
    path = Content(FIRST["alice"], still_moving(1)).write(stage.folder / "one.webm")
    for number, who in enumerate(people):
        stage.take(who, path, at=number / FRAME_RATE)
    film = stage.render(names=False)
    grid = places("grid", *people)
    for number, who in enumerate(people):
        assert abs(film.counter(0.8, grid[who]) - FIRST["alice"] - 24 + number) <= NEAR


def test_when_nobody_is_there_nothing_is_shown(stage: Stage) -> None:
    short = Content(FIRST["alice"], still_moving(1), sound_span=(0, 1))
    stage.add("alice", short)
    stage.add("alice", short, at=6.0)
    film = stage.render()
    assert film.composite.seconds == pytest.approx(7.0, abs=0.04)
    assert film.part(5.0, WHOLE).std() < 1
    assert np.abs(film.sound[2 * 48000 : 5 * 48000]).max() < 1e-3
    assert shows(film, 6.5, WHOLE, "alice", since=6.0)


def test_1080p_is_that_large(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(0.5), sound=None))
    film = stage.render(height=1080)
    assert film.pictures[0][1].width == 1920
    assert shows(film, 0.4, Rectangle(0, 0, 1920, 1080), "alice")


def test_a_shared_screen_has_the_large_place_beside_its_camera(stage: Stage) -> None:
    length = Content(FIRST["alice"], still_moving(4), sound_span=(0, 4))
    stage.add("alice", length)
    stage.add("bob", Content(FIRST["bob"], still_moving(4), sound=None))
    stage.add("bob", Content(FIRST["screen"], sound=None), at=1.0, source="screen")
    film = stage.render()
    shared = places("grid", "alice", "bob", "bob/screen")
    assert shared["bob/screen"].width > 3 * shared["bob"].width
    assert shared["bob"].y < shared["alice"].y
    assert (
        shows(film, 2.0, shared["bob/screen"], "screen", since=1.0)
        or abs(film.counter(2.0, fitted(shared["bob/screen"])) - FIRST["screen"] - FRAME_RATE)
        <= NEAR
    )
    assert shows(film, 2.0, shared["bob"], "bob")
    assert shows(film, 2.0, shared["alice"], "alice")
    alone = places("grid", "alice", "bob")
    assert shows(film, 0.5, alone["alice"], "alice")
    assert shows(film, 3.5, alone["bob"], "bob")


def fitted(place: Rectangle) -> Rectangle:
    """Where a 16:9 picture is in a place that is higher."""
    height = place.width * 9 // 16
    return Rectangle(place.x, place.y + (place.height - height) // 2, place.width, height)


def test_the_speaker_has_the_large_place(stage: Stage) -> None:
    for who, spans in (("alice", [(0.0, 3.0)]), ("bob", [(3.0, 6.0)])):
        content = Content(
            FIRST[who], still_moving(6), sound=tone(PITCH[who], spans=spans), sound_span=(0, 6)
        )
        stage.add(who, content)
    film = stage.render(layout="speaker")
    first = places("speaker", "alice", "bob", speaker="alice")
    then = places("speaker", "alice", "bob", speaker="bob")
    assert shows(film, 2.0, fitted(first["alice"]), "alice")
    assert shows(film, 2.0, first["bob"], "bob")
    assert shows(film, 4.0, fitted(then["bob"]), "bob")
    assert shows(film, 4.0, then["alice"], "alice")
    assert shows(film, 5.9, fitted(then["bob"]), "bob")


def test_single_shows_its_focus_and_nobody_else_and_lets_all_be_heard(stage: Stage) -> None:
    for who in ("alice", "bob"):
        stage.add(who, Content(FIRST[who], sound=tone(PITCH[who])))
    film = stage.render(layout="single", focus="bob")
    assert shows(film, 0.1, WHOLE, "bob")
    assert shows(film, 1.5, WHOLE, "bob")
    assert film.level(PITCH["alice"], 0.5, 1.5) == pytest.approx(0.3, rel=0.15)


def test_a_hidden_picture_is_taken_up_where_it_is(stage: Stage) -> None:
    """Its file is searched for the keyframe before, when its turn comes after a while."""
    spans = {"alice": [(0.0, 6.0)], "bob": [(6.0, 8.0)]}
    for who, on in spans.items():
        sound = tone(PITCH[who], spans=on)
        stage.add(who, Content(FIRST[who], still_moving(8), sound=sound, sound_span=(0, 8)))
    film = stage.render(layout="single")
    assert shows(film, 5.0, WHOLE, "alice")
    assert shows(film, 7.0, WHOLE, "bob")


# --- what sources are like ------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_a_change_of_size_and_shape_keeps_the_picture_in_its_place(
    stage: Stage, codec: str
) -> None:
    parts = [
        Content(FIRST["alice"] + 30 * number, still_moving(1), size, codec, sound=None)
        for number, size in enumerate([(320, 180), (640, 360), (180, 320), (318, 178)])
    ]
    stage.take("alice", joined(stage.folder, parts))
    film = stage.render(names=False)
    upright = Rectangle((1280 - 404) // 2, 0, 404, 720)
    for at, place in ((0.8, WHOLE), (1.8, WHOLE), (2.8, upright), (3.8, WHOLE)):
        assert shows(film, at, place, "alice"), at
    assert film.part(2.8, Rectangle(0, 0, 300, 720)).max() < 60
    assert film.composite.failures == ()


def joined(folder: Path, parts: Sequence[Content]) -> Path:
    """One stream of a second of each."""
    path = folder / "joined.webm"
    with av.open(str(path), "w", format="webm") as output:
        stream: Any = None
        for number, part in enumerate(parts):
            with av.open(str(part.write(folder / f"part-{number}.webm"))) as file:
                video = file.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                for packet in file.demux(video):
                    if packet.size:
                        time = float(packet.pts * packet.time_base) + number
                        packet.time_base = Fraction(1, 1000)
                        packet.pts = packet.dts = round(time * 1000)
                        packet.duration, packet.stream = 33, stream
                        output.mux(packet)
    return path


def test_a_turned_picture_is_upright(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], codec="h264", rotation=180), kind="mp4")
    film = stage.render(names=False)
    upright = film.part(1.5, WHOLE)[::-1, ::-1]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(upright), format="gray")
    assert abs(read_counter(frame) - FIRST["alice"] - 45) <= NEAR


def test_a_portrait_keeps_its_shape(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], size=(180, 320)))
    film = stage.render(names=False)
    width = 720 * 180 // 320
    middle = Rectangle((1280 - width) // 2, 0, width, 720)
    assert shows(film, 1.0, middle, "alice")
    assert film.part(0.0, Rectangle(0, 0, 400, 720)).max() < 60


def test_a_name_beside_the_picture_stays_as_it_is(stage: Stage) -> None:
    """It lies on what a portrait leaves free, which no new picture covers."""
    stage.add("alice", Content(FIRST["alice"], size=(180, 320), sound=None))
    film = stage.render()
    corner = Rectangle(0, 640, 200, 80)
    first, last = (film.part(at, corner).astype(int) for at in (0.5, 1.9))
    assert first.std() > 10
    assert np.abs(first - last).mean() < 1


def test_who_has_only_sound_gets_a_tile_with_initials(stage: Stage) -> None:
    stage.add("alice")
    stage.add("bob", Content(times=(), sound=tone(PITCH["bob"])), name="Bob Stone")
    film = stage.render()
    both = places("grid", "alice", "bob")
    assert shows(film, 1.0, both["alice"], "alice")
    tile = film.part(1.0, both["bob"])
    assert tile.max() > 180  # letters
    assert np.array_equal(tile > 150, film.part(1.9, both["bob"]) > 150)
    assert film.level(PITCH["bob"], 0.5, 1.5) == pytest.approx(0.3, rel=0.15)


def test_a_camera_that_is_off_gives_way_to_the_initials(stage: Stage) -> None:
    times = still_moving(1) + still_moving(1, start=6.0)
    stage.add("alice", Content(FIRST["alice"], times, sound_span=(0, 7)))
    film = stage.render(names=False)
    assert shows(film, 0.9, WHOLE, "alice")
    assert abs(film.counter(1.5, WHOLE) - FIRST["alice"] - 29) <= NEAR  # its last picture lingers
    assert film.part(4.0, Rectangle(0, 0, 300, 720)).std() < 3  # plain, around the initials
    assert abs(film.counter(6.5, WHOLE) - FIRST["alice"] - 45) <= NEAR


def test_one_picture_a_second_plays_at_its_own_speed(stage: Stage) -> None:
    content = Content(FIRST["screen"] + 7, still_moving(8, rate=1), sound=None, keyframe_every=4)
    stage.add("alice", content, source="screen")
    film = stage.render(fps=25)
    for second in range(8):
        for at in (second + 0.1, second + 0.9):
            if at < film.composite.seconds:
                assert film.counter(at, WHOLE) == FIRST["screen"] + 7 + second


def test_a_still_screen_stays_to_be_seen(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(8), sound=None))
    still = Content(FIRST["screen"] + 7, (0.0, 0.5, 7.5), sound=None)
    stage.add("alice", still, source="screen")
    film = stage.render()
    place = fitted(places("grid", "alice", "alice/screen")["alice/screen"])
    assert film.counter(7.0, place) == FIRST["screen"] + 8


def test_sound_alone_makes_a_file_of_sound(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], sound=tone(PITCH["alice"])))
    stage.add("bob", Content(times=(), sound=tone(PITCH["bob"])), at=1.0)
    film = stage.render(audio_only=True)
    with av.open(str(film.path)) as file:
        assert [stream.type for stream in file.streams] == ["audio"]
    assert film.composite.seconds == pytest.approx(3.0, abs=0.04)
    assert film.level(PITCH["bob"], 0.2, 0.8) < 0.01
    assert film.level(PITCH["bob"], 1.2, 1.8) == pytest.approx(0.3, rel=0.15)


def test_a_film_without_any_sound_has_silence(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], sound=None))
    film = stage.render()
    assert np.abs(film.sound).max() < 1e-3
    assert len(film.sound) / 48000 == pytest.approx(2.0, abs=0.05)


def test_other_sampling_rates_keep_their_pitch_and_time(stage: Stage) -> None:
    content = Content(FIRST["alice"], codec="h264", sound=beeps(1000), rate=44100)
    stage.add("alice", content, kind="mp4")
    assert stage.render().beeps(1000) == pytest.approx([0.0, 1.0], abs=0.03)


def test_loud_voices_together_are_not_clipped(stage: Stage) -> None:
    for who in ("alice", "bob", "carol"):
        stage.add(who, Content(times=(), sound=tone(PITCH[who], 0.9)))
    film = stage.render(audio_only=True)
    assert np.abs(film.sound).max() < 1.05  # of the encoder's own error
    loud = [film.level(PITCH[who], 0.5, 1.5) for who in ("alice", "bob", "carol")]
    assert min(loud) > 0.2
    assert max(loud) < 1.1 * min(loud)


# --- hostile and broken files ---------------------------------------------------------------------


def test_a_file_that_breaks_off_does_not_stop_the_others(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(4), sound_span=(0, 4)))
    path = stage.add("bob", Content(FIRST["bob"], still_moving(4), sound_span=(0, 4)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    film = stage.render()
    both = places("grid", "alice", "bob")
    assert shows(film, 0.5, both["alice"], "alice")
    assert shows(film, 0.5, both["bob"], "bob")
    assert shows(film, 3.9, WHOLE, "alice")
    assert film.composite.seconds == pytest.approx(4.0, abs=0.05)


def test_noise_within_a_file_is_passed_over(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(6), sound_span=(0, 6)))
    path = stage.add("bob", Content(FIRST["bob"], still_moving(6), sound_span=(0, 6)))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(7).bytes(4000)
    path.write_bytes(data)
    film = stage.render()
    both = places("grid", "alice", "bob")
    assert shows(film, 1.0, both["bob"], "bob")
    assert shows(film, 5.5, both["alice"], "alice") or shows(film, 5.5, WHOLE, "alice")


def test_files_that_are_no_media_are_named_and_left_out(stage: Stage) -> None:
    stage.add("alice")
    none = [b"", b"not media at all", b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftypisom", bytes(10_000)]
    names = [f"bad-{number}.webm" for number in range(len(none))]
    for name, content in zip(names, none, strict=True):
        (stage.folder / name).write_bytes(content)
        stage.take("bob", stage.folder / name)
    film = stage.render()
    assert shows(film, 1.0, WHOLE, "alice")
    assert [failure.partition(":")[0] for failure in film.composite.failures] == names


def test_a_playlist_in_place_of_media_is_not_followed(stage: Stage) -> None:
    secret = stage.add("alice")
    playlist = stage.folder / "list.webm"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n")
    concat = stage.folder / "concat.webm"
    concat.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    stage.sources.clear()
    stage.take("mallory", playlist)
    stage.take("mallory", concat)
    with pytest.raises(NothingToRender):
        stage.render()


def test_without_any_media_there_is_a_reason_and_no_file(stage: Stage) -> None:
    stage.take("alice", stage.folder / "gone.webm")
    with pytest.raises(NothingToRender, match=r"gone\.webm"):
        stage.render()
    assert list(stage.folder.iterdir()) == []


def test_a_focus_that_was_not_there_is_refused(stage: Stage) -> None:
    stage.add("alice")
    with pytest.raises(BadRenderOptions) as caught:
        stage.render(layout="single", focus="mallory")
    assert caught.value.code == "bad_focus"


@pytest.mark.parametrize("after", [0, 1, 20])
def test_a_cancelled_render_leaves_nothing(stage: Stage, after: int) -> None:
    stage.add("alice")
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(RenderCancelled):
        compose(stage.spec(), lambda _: None, cancelled)
    assert [path.name for path in stage.folder.iterdir()] == ["000-alice-camera.webm"]


def test_any_name_can_be_drawn(stage: Stage) -> None:
    """On a picture, and as initials in place of one."""
    names = ["", "x" * 500, "محمد عبد الله", "\u202egnp.exe\n\0\t", "👩‍👩‍👧", "李小龙"]
    film = Content(FIRST["alice"], still_moving(1)).write(stage.folder / "one.webm")
    sound = Content(times=(), sound_span=(0, 1)).write(stage.folder / "sound.webm")
    seen = [f"seen-{number}" for number in range(len(names))]
    heard = [f"heard-{number}" for number in range(len(names))]
    for who, name in zip(seen + heard, names + names, strict=True):
        stage.take(who, film if who in seen else sound, name=name)
    made = stage.render()
    grid = places("grid", *seen, *heard)
    assert all(shows(made, 0.8, grid[who], "alice") for who in seen)


def test_a_name_is_on_its_picture_unless_it_is_not_wanted(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], sound=None))
    corner = Rectangle(0, 640, 200, 80)
    with_names = stage.render().part(0.05, corner).std()
    without = stage.render(names=False).part(0.05, corner).std()
    assert with_names > 30 > without
