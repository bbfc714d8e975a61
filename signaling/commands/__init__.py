"""The commands of `mediaserver`, in groups; `signaling.cli` puts them together."""
