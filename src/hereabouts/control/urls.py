"""What control serves."""

from django.urls import include, path, re_path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularSwaggerView

from hereabouts.control.api import errors, schema

urlpatterns = [
    path("", TemplateView.as_view(template_name="control/welcome.html")),
    path("api/v1/", include("hereabouts.control.api.urls")),
    re_path(r"^api/schema/?$", schema.serve, name="schema"),
    re_path(r"^api/docs/?$", SpectacularSwaggerView.as_view(url_name="schema")),
]
handler404 = errors.not_found
handler400 = errors.bad_request
handler500 = errors.server_error
