"""What control serves."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerSplitView

from hereabouts.control import prometheus
from hereabouts.control.api import schema

urlpatterns = [
    path("api/v1/", include("hereabouts.control.api.urls")),
    re_path(r"^api/schema/?$", schema.serve, name="schema"),
    re_path(r"^api/docs/?$", SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="reference.html")),
    re_path(r"^metrics/?$", prometheus.serve, name="prometheus"),
    path("", include("hereabouts.control.dashboard.urls")),
]
handler404 = "hereabouts.control.dashboard.pages.not_found"
handler403 = "hereabouts.control.dashboard.pages.refused"
handler400 = "hereabouts.control.dashboard.pages.bad_request"
handler500 = "hereabouts.control.dashboard.pages.server_error"
