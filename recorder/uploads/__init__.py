"""Files that users bring: upload sessions, from the announcement to the media library."""
