"""Recordings: journals of a call -> files that play, in storage. The facade is `recorder.service`."""
