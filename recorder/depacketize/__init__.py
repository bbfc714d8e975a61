"""RTP payloads of one frame -> the coded frame as a container keeps it.

One depacketizer a codec; all of them are a `Depacketizer`.
"""

from recorder.depacketize.codecs import CODECS, Codec
from recorder.depacketize.frame import CodedFrame, Depacketizer, PictureId

__all__ = ["CODECS", "Codec", "CodedFrame", "Depacketizer", "PictureId"]
