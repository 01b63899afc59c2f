"""What every page tells browsers: where scripts and styles may come from, and to come over HTTPS."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.utils.decorators import sync_and_async_middleware

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NOT_PAGES = ("/api/", "/static/", "/metrics", "/.well-known/")
_REFERENCE = "/api/docs"


@sync_and_async_middleware
def page_headers(get_response: Callable[[HttpRequest], HttpResponseBase]):  # type: ignore[no-untyped-def]
    """Middleware: a Content-Security-Policy for pages, which are shown over HTTPS only."""
    from asgiref.sync import iscoroutinefunction

    def before(request: HttpRequest) -> HttpResponseBase | None:
        if request.is_secure() or request.path.startswith(_NOT_PAGES):
            return None
        config = settings.CONFIG
        return HttpResponsePermanentRedirect(config.site_url(config.host).rstrip("/") + request.get_full_path())

    def after(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith(_REFERENCE) or not request.path.startswith(_NOT_PAGES):
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    if iscoroutinefunction(get_response):

        async def serve(request: HttpRequest) -> HttpResponseBase:
            return before(request) or after(request, await get_response(request))

        return serve

    def serve_at_once(request: HttpRequest) -> HttpResponseBase:
        return before(request) or after(request, get_response(request))

    return serve_at_once
