"""Watching a recording while it runs: growing journals -> growing streams that a browser plays.

    tails ──► tracks ──► slots ──► streams ──► files
    (records) (frames on  (who and  (blocks in (WebM, fragmented MP4, and where to
               the clock)  what)     order)     begin in them)

`follower` moves all of it, `__main__` is the process. Nothing is re-encoded. What is written is
never changed, so a file can be read while it grows; it goes with the recording's end, when the
finished files take its place. Time is the arrival time in the journals, so that a follower that is
started in the middle makes the same streams from the beginning, only faster.
"""
