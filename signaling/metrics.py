"""Counters of the control side, and the one place that knows how Prometheus writes numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Plain numbers since the start of the process."""

    # (method, route pattern, status) -> requests
    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    # status -> how many times a recording got there
    recordings: Counter[str] = field(default_factory=Counter)
    # kind of event of the media workers -> how many
    media_events: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Metric:
    """`samples` are pairs of labels and value."""

    name: str
    kind: str  # "counter" or "gauge"
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]


def metrics_of(
    counters: Counters, gauges: Mapping[str, int], media: Mapping[str, int | str]
) -> list[Metric]:
    """Everything `/metrics` shows. `gauges` are the control side's, `media` the media plane's."""
    requests = tuple(
        ({"method": method, "route": route, "status": str(status)}, count)
        for (method, route, status), count in sorted(counters.requests.items())
    )
    return [
        Metric("mediaserver_http_requests_total", "counter", "HTTP requests answered.", requests),
        Metric(
            "mediaserver_recording_changes_total",
            "counter",
            "Times that a recording reached a status.",
            _labelled("status", counters.recordings),
        ),
        Metric(
            "mediaserver_media_events_total",
            "counter",
            "Events reported by the media workers.",
            _labelled("event", counters.media_events),
        ),
        *(
            Metric(f"mediaserver_{name}", "gauge", f"{name.capitalize()} now.", (({}, value),))
            for name, value in gauges.items()
        ),
        *(
            Metric(f"mediaserver_media_{name}", "gauge", f"Media plane: {name}.", (({}, value),))
            for name, value in sorted(media.items())
            if isinstance(value, int)
        ),
    ]


def prometheus_text(metrics: Iterable[Metric]) -> str:
    """The Prometheus text exposition format, version 0.0.4."""
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            lines.append(f"{metric.name}{_label_text(labels)} {value}")
    return "\n".join(lines) + "\n"


def _labelled(label: str, counts: Mapping[str, int]) -> tuple[tuple[Mapping[str, str], float], ...]:
    return tuple(({label: key}, count) for key, count in sorted(counts.items()))


def _label_text(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
