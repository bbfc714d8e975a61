"""The media library: files that users brought, looked into before they are kept.

    library = MediaLibrary(catalog, depots, tools, journals_root / ".media", clock=now,
                           limits=MediaLimits(...))
    row = await library.admit(upload)      # raises FileRefused (recorder.errors) and keeps nothing
    await library.recover()                # at start; then `look` every few seconds, `purge` hourly
    await library.close()

Its parts are imported by name, for the processes below need few of them.

What is hostile about a file is met by processes of their own with bounded memory and time
(`recorder.media.probe`, `recorder.media.transcode`), which have no credentials and no network.
"""
