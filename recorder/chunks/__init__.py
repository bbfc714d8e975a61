"""Chunks of participants' own recorders: kept as they come, then made into files."""
