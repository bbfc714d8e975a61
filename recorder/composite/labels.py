"""Names on pictures, and tiles for who has no picture (Pillow).

Names were chosen by their bearers: they may be empty, endless, right to left, or in a script that
no font here has. They are drawn in the first of the system's fonts that has all of their letters,
else in the one that has most of them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from recorder.composite.canvas import FORMAT, Planes, planes_of

LONGEST_NAME: Final = 80  # characters that are looked at

_FONT_ROOTS: Final = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts")
_PREFERRED: Final = (
    "NotoSans-Regular",
    "DejaVuSans",
    "LiberationSans-Regular",
    "Arial",
    "FreeSans",
)
_MOST_FONTS: Final = 60
_MISSING: Final = "\U0010fffd"  # no font has it: what is drawn is the box for missing letters
_ELLIPSIS: Final = "…"
_SHADE: Final = 0.55
_INK: Final = 235
_COLOURS: Final = (
    (66, 99, 146), (120, 82, 140), (52, 122, 112), (150, 90, 66), (98, 112, 60), (136, 74, 96),
)  # fmt: skip

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Label:
    """A name on its shade: `paint` puts it into the lower left corner of a place."""

    keep: npt.NDArray[np.uint16]  # how much of the luma stays; 256 is all
    keep_chroma: npt.NDArray[np.uint16]
    add: npt.NDArray[np.uint16]  # to the luma, in 256ths
    margin: int

    def paint(self, place: Planes) -> None:
        height, width = self.keep.shape
        bottom, left = place.y.shape[0] - self.margin, self.margin
        luma = place.y[bottom - height : bottom, left : left + width]
        luma[:] = (luma * self.keep + self.add) >> 8
        half = (slice((bottom - height) // 2, bottom // 2), slice(left // 2, (left + width) // 2))
        for plane in (place.u, place.v):
            chroma = plane[half]
            chroma[:] = (chroma * self.keep_chroma + (256 - self.keep_chroma) * 128) >> 8


@lru_cache(maxsize=256)
def label(name: str, size: tuple[int, int]) -> Label | None:
    """The label for a place of `size` (width, height). None when it would be too small to read."""
    height = _even(max(size[1] / 12, 14))
    margin = _even(height / 4)
    room = size[0] - 2 * margin
    text = clean(name)
    if not text or size[1] < 3 * height or room < 2 * height:
        return None
    font = font_for(text, height * 2 // 3)
    padding = height // 3
    text = shortened(text, font, room - 2 * padding)
    width = _even(min(room, _width(text, font) + 2 * padding))
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((width / 2, height / 2), text, font=font, fill=255, anchor="mm")
    ink = np.asarray(image, np.float32) / 255
    keep = (256 * (1 - ink) * (1 - _SHADE)).astype(np.uint16)
    add = (256 * (ink * _INK + (1 - ink) * _SHADE * 16)).astype(np.uint16)
    return Label(keep, np.ascontiguousarray(keep[::2, ::2]), add, margin)


@lru_cache(maxsize=128)
def placeholder(name: str, key: str, size: tuple[int, int]) -> Planes:
    """A tile with the initials of `name`; its colour goes by `key`. `name` may be a "+12" too."""
    width, height = size
    colour = _COLOURS[hashlib.sha256(key.encode()).digest()[0] % len(_COLOURS)]
    image = Image.new("RGB", size, (34, 36, 42))
    draw = ImageDraw.Draw(image)
    radius = min(width, height) * 0.28
    centre = (width / 2, height / 2)
    draw.circle(centre, radius, fill=colour)
    text = initials(name)
    font = font_for(text, max(8, int(radius * 0.8)))
    draw.text(centre, text, font=font, fill=(240, 240, 240), anchor="mm")
    frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24").reformat(
        format=FORMAT, dst_color_range="MPEG"
    )
    return Planes(*(plane.copy() for plane in planes_of(frame)))


def clean(name: str) -> str:
    """On one line and without characters that are not drawn or that turn the text around them."""
    kept = (
        " " if character.isspace() else character
        for character in name[:LONGEST_NAME]
        if character.isspace()
        or unicodedata.category(character)[0] != "C"
        or character in "\u200c\u200d"
    )
    return " ".join("".join(kept).split())


def initials(name: str) -> str:
    """ "Ada Lovelace" -> "AL"; numbers with a sign stay as they are."""
    text = clean(name)
    if text.startswith("+"):
        return text
    words = [word for word in text.split() if word[0].isalnum()]
    letters = [words[0][0], words[-1][0]] if len(words) > 1 else [word[0] for word in words]
    return "".join(letters).upper() or "?"


def shortened(text: str, font: Font, room: int) -> str:
    """`text`, or as much of its beginning with an ellipsis as is `room` pixels wide."""
    if _width(text, font) <= room:
        return text
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        if _width(text[:middle].rstrip() + _ELLIPSIS, font) <= room:
            least = middle
        else:
            most = middle - 1
    return text[:least].rstrip() + _ELLIPSIS


@lru_cache(maxsize=256)
def font_for(text: str, size: int) -> Font:
    """The font with the fewest letters of `text` missing, the most usual one of these."""
    best: tuple[int, Font] | None = None
    for path in system_fonts():
        try:
            font = ImageFont.truetype(str(path), size)
            missing = _missing(text, font)
        except (OSError, ValueError):
            continue
        if best is None or missing < best[0]:
            best = (missing, font)
        if missing == 0:
            break
    return best[1] if best else ImageFont.load_default(size)


@lru_cache(maxsize=1)
def system_fonts(roots: Sequence[str] = _FONT_ROOTS) -> tuple[Path, ...]:
    """Fonts of this machine, the preferred ones first; none is needed."""
    found: list[Path] = []
    for root in roots:
        found += sorted(_fonts_below(Path(root)))
    order = {name: number for number, name in enumerate(_PREFERRED)}
    found.sort(key=lambda path: order.get(path.stem, len(order)))
    return tuple(found[:_MOST_FONTS])


def _fonts_below(root: Path) -> Iterable[Path]:
    return (path for path in root.rglob("*") if path.suffix.lower() in (".ttf", ".otf", ".ttc"))


def _missing(text: str, font: ImageFont.FreeTypeFont) -> int:
    box = bytes(font.getmask(_MISSING))
    return sum(bytes(font.getmask(letter)) == box for letter in set(text) if not letter.isspace())


def _width(text: str, font: Font) -> int:
    return int(font.getlength(text) + 1)


def _even(value: float) -> int:
    return int(value) & ~1
