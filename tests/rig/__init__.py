"""The test rig: the real server in a process, real browsers with known content, and real tokens."""
