"""What Prometheus reads: all websites, the certificates and the platform's own processes, for operators only.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.exceptions import Throttled

from hereabouts.config import Config
from hereabouts.control import metrics, services
from hereabouts.control.api.throttling import count_stranger
from hereabouts.control.models import Certificate, Website
from hereabouts.core.metrics import CLASSES, LATENCY_BOUNDS
from hereabouts.core.webapp import Status

_CURRENT_SECONDS = 60
"""How a website was at its latest sample is how it is, for so long."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DAY_SECONDS = 86_400.0
_WEBSITE = ("domain", "account")
_TEXT = "text/plain; charset=utf-8"


@require_safe
def serve(request: HttpRequest) -> HttpResponse:
    """The metrics, for whoever shows an operator's token."""
    if not _is_operator(request):
        return _refused(request)
    registry = CollectorRegistry()
    try:
        registry.register(_Everything(list(services.websites())))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except OperationalError as error:
        text = f"The platform's database can't be used now: {error}.\n"
        return HttpResponse(text, content_type=_TEXT, status=503)


def _refused(request: HttpRequest) -> HttpResponse:
    try:
        count_stranger(request)
    except Throttled as error:
        seconds = max(1, math.ceil(getattr(error, "wait", None) or 1))
        text = f"There were too many calls without an operator's API token. Try again in {seconds} seconds.\n"
        return HttpResponse(text, content_type=_TEXT, status=429, headers={"Retry-After": str(seconds)})
    text = "This is for operators: send the header Authorization: Bearer, with an operator's API token.\n"
    headers = {"WWW-Authenticate": 'Bearer realm="hereabouts"'}
    return HttpResponse(text, content_type=_TEXT, status=401, headers=headers)


def _is_operator(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("token", "bearer"):
        return False
    account = services.authenticate_token(token.strip(), request.headers.get("X-Real-IP", ""))
    return account is not None and services.acts_for_others(account, token.strip())


class _Everything(Collector):
    """One look at everything."""

    def __init__(self, websites: list[Website]) -> None:
        self._websites = [website for website in websites if website.domains.all()]  # else it is deleted now

    def collect(self) -> Iterator[Metric]:
        """The families in turn."""
        yield from _traffic(self._websites)
        yield _states(self._websites)
        yield _certificates()
        yield _processes(settings.CONFIG)


def _traffic(websites: Iterable[Website]) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        "hereabouts_requests", "Requests answered, by class of their status.", labels=[*_WEBSITE, "class"]
    )
    latency = HistogramMetricFamily(
        "hereabouts_request_duration_seconds", "How long requests took, held ones included.", labels=_WEBSITE
    )
    sent = CounterMetricFamily("hereabouts_sent_bytes", "Bytes sent to visitors, headers and all.", labels=_WEBSITE)
    cpu = CounterMetricFamily("hereabouts_cpu_seconds", "Processor time of the website's processes.", labels=_WEBSITE)
    restarts = CounterMetricFamily(
        "hereabouts_restarts", "Processes started again that had ended by themselves.", labels=_WEBSITE
    )
    connections = GaugeMetricFamily("hereabouts_connections", "Requests being served.", labels=_WEBSITE)
    memory = GaugeMetricFamily("hereabouts_memory_bytes", "Memory of the website's processes.", labels=_WEBSITE)
    current = time.time() - _CURRENT_SECONDS
    for website in websites:
        labels = (website.domain_name, website.account.username)
        found = metrics.totals(website.pk)
        if found is None:  # nothing yet, or it can't be read: a 0 would count as a new beginning
            continue
        for name, count in zip(CLASSES, found.answers, strict=True):
            answers.add_metric([*labels, name], count)
        latency.add_metric(labels, _cumulated(found.latency), found.latency_seconds)
        sent.add_metric(labels, found.bytes_out)
        cpu.add_metric(labels, found.cpu_seconds)
        restarts.add_metric(labels, found.restarts)
        connections.add_metric(labels, found.connections if found.at >= current else 0)
        memory.add_metric(labels, found.memory_bytes if found.at >= current else 0)
    yield from (answers, latency, sent, cpu, restarts, connections, memory)


def _cumulated(counts: Iterable[int]) -> list[tuple[str, float]]:
    """A histogram's counts as Prometheus has them: how many took so long or less."""
    total, found = 0, []
    for count, bound in zip(counts, [*map(str, LATENCY_BOUNDS), "+Inf"], strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _states(websites: Iterable[Website]) -> Metric:
    family = GaugeMetricFamily("hereabouts_websites", "Websites by their state.", labels=["state"])
    counts = Counter(_state(website) for website in websites)
    for status in Status:
        family.add_metric([status.value], counts[status.value])
    return family


def _state(website: Website) -> str:
    seen = getattr(website, "observation", None)
    if not website.enabled:
        return Status.DISABLED.value
    return Status.STARTING.value if seen is None or seen.status == Status.DISABLED.value else str(seen.status)


def _certificates() -> Metric:
    family = GaugeMetricFamily(
        "hereabouts_certificate_days_left", "Days until a certificate ends.", labels=["domain", "kind"]
    )
    now = time.time()
    for name, kind, end in Certificate.objects.exclude(fingerprint="").values_list("name", "kind", "not_after"):
        family.add_metric([name, kind], round((end - now) / _DAY_SECONDS, 3))
    return family


def _processes(config: Config) -> Metric:
    """The memory of the platform's processes; nginx's is that of its workers, too."""
    family = GaugeMetricFamily(
        "hereabouts_process_memory_bytes", "Resident memory of the platform's own processes.", labels=["process"]
    )
    try:
        recorded = json.loads((config.run_dir / "up.json").read_text(encoding="utf-8"))["processes"]
    except (OSError, ValueError, KeyError):  # systemd looks after them, and knows them
        return family
    for name, (pid, _) in recorded.items():
        workers = _children(pid) if name == "nginx" else []
        family.add_metric([name], sum(map(_resident, [pid, *workers])))
    return family


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []
