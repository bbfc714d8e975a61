"""Files made of a finished file: pictures to choose by, long recordings for HLS, single tracks.

Everything here is a convenience beside a file that is complete already, and can be made again from
it. Nothing is encoded but small pictures.
"""
