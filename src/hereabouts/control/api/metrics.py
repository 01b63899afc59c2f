"""The endpoint of a website's metrics, and the shape of its answer."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from hereabouts.control import metrics
from hereabouts.control.api import schema
from hereabouts.control.api.serializers import moment
from hereabouts.control.api.views import WebsitesView
from hereabouts.core.metrics import CLASSES, Sample, quantile

RatesOutput = inline_serializer("Rates", {name: serializers.FloatField() for name in CLASSES})


class LatencyOutput(serializers.Serializer[Any]):
    """Within how many seconds 50, 95, 99 of a hundred requests were answered; null where there were none."""

    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)


class PointOutput(serializers.Serializer[Any]):
    """What was counted of a website from `at` on."""

    at = serializers.DateTimeField()
    seconds = serializers.IntegerField(help_text="For how long it was counted.")
    requests = RatesOutput
    latency = LatencyOutput()
    bytes = serializers.IntegerField(help_text="Sent to visitors, headers and all.")
    connections = serializers.IntegerField(help_text="Requests that were being served at a time, at the most.")
    cpu = serializers.FloatField(help_text="Processor time as a share of one core.")
    memory_bytes = serializers.IntegerField(help_text="Of its processes, at the most; 0 where none ran.")
    restarts = serializers.IntegerField(help_text="How often a process was started again that had ended by itself.")


def point_object(sample: Sample) -> dict[str, Any]:
    """A sample as the API tells of it."""
    seconds = max(1, sample.seconds)
    shares = {f"p{share}": quantile(sample.latency, share / 100) for share in (50, 95, 99)}
    return {
        "at": moment(sample.at),
        "seconds": sample.seconds,
        "requests": {name: round(count / seconds, 4) for name, count in zip(CLASSES, sample.answers, strict=True)},
        "latency": {name: None if found is None else round(found, 5) for name, found in shares.items()},
        "bytes": sample.bytes_out,
        "connections": sample.connections,
        "cpu": round(sample.cpu_seconds / seconds, 5),
        "memory_bytes": sample.memory_bytes,
        "restarts": sample.restarts,
    }


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN, schema.PERIOD], tags=["websites"])
class WebsiteMetrics(WebsitesView):
    """What was counted of one website."""

    @extend_schema(
        operation_id="get_metrics",
        responses={200: PointOutput(many=True), **schema.BAD_PERIOD, **schema.REFUSALS, **schema.MISSING},
        examples=schema.POINT_EXAMPLES,
    )
    def get(self, request: Request, username: str, domain: str) -> Response:
        """Get a website's requests, their latency, its connections, processor time and memory: 180 points at most."""
        website = self.website()
        found = metrics.read(website.pk, request.query_params.get("period", "hour"))
        return Response([point_object(sample) for sample in found])
