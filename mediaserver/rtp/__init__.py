"""RTP arithmetic and formats, without I/O."""
