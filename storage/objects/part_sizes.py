"""How an object is cut into parts. Pure. Limits of S3, GCS's XML interface and Vercel Blob alike:
10,000 parts, each of 5 MiB to 5 GiB but the last, which may be smaller.
"""

from __future__ import annotations

from collections.abc import Iterator

MEBIBYTE = 1 << 20
MAX_PARTS = 10_000
SMALLEST_PART = 5 * MEBIBYTE
USUAL_PART = 8 * MEBIBYTE
FILE_PART = 32 * MEBIBYTE
LARGEST_PART = 5 << 30
LARGEST_OBJECT = 5 << 40


def part_size(total: int, usual: int = USUAL_PART) -> int:
    """The size of every part but the last of an object of `total` bytes.

    `usual` as long as 10,000 such parts suffice, else as many whole MiB as it takes. Equal parts,
    because some stores (Cloudflare R2) take no others. Raises ValueError beyond 5 TiB.
    """
    if not 0 <= total <= LARGEST_OBJECT:
        raise ValueError(f"an object of {total} bytes is larger than any store takes")
    needed = -(-total // MAX_PARTS)
    return max(usual, -(-needed // MEBIBYTE) * MEBIBYTE)


def file_part_size(total: int) -> int:
    """`part_size` for a file of `total` bytes, which is read while it is sent and costs no memory.

    A part costs a signature and a round trip, whatever its size, so large files go in larger ones. A
    cut connection sends a part again: at most 1/32 of a large file, and never more than 32 MiB.
    """
    share = -(-total // 32 // MEBIBYTE) * MEBIBYTE
    return part_size(total, min(max(USUAL_PART, share), FILE_PART))


def growing_part_sizes(usual: int = USUAL_PART) -> Iterator[int]:
    """Sizes of the parts of a stream whose length nobody knows: at most 10,000 of them.

    The size doubles after each half of the numbers that are left, so 40 GiB go in equal parts of
    8 MiB, and memory grows only with what is truly large. Of 5 MiB they end at 273 GiB.
    """
    size, left = usual, MAX_PARTS
    while left:
        run = -(-left // 2)
        for _ in range(run):
            yield size
        left -= run
        size = min(size * 2, LARGEST_PART)
