"""The endpoint of a website's metrics."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from hereabouts.control import metrics
from hereabouts.control.api import schema
from hereabouts.control.api import serializers as shapes
from hereabouts.control.api.views import WebsitesView


@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN, schema.PERIOD], tags=["websites"])
class WebsiteMetrics(WebsitesView):
    """What was counted of one website."""

    @extend_schema(
        operation_id="get_metrics",
        responses={200: shapes.PointOutput(many=True), **schema.BAD_PERIOD, **schema.REFUSALS, **schema.MISSING},
        examples=schema.POINT_EXAMPLES,
    )
    def get(self, request: Request, username: str, domain: str) -> Response:
        """Get a website's requests, their latency, its connections, processor time and memory: 180 points at most."""
        website = self.website()
        found = metrics.read(website.pk, request.query_params.get("period", "hour"))
        return Response([shapes.point_object(sample) for sample in found])
