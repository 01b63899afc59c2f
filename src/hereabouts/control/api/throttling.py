"""How often an account, or an unknown caller, may call an endpoint; and send a form of a page."""

from __future__ import annotations

import math
import threading
import time
from typing import cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from hereabouts.control import tries
from hereabouts.control.models import Account

_lock = threading.Lock()

_STRANGERS = 10
"""Times the rate of an account: many may call from one address."""


class PerMinute(SimpleRateThrottle):
    """``rate_limit`` calls a minute for each endpoint and account, as a sliding window."""

    scope = "minute"
    timer = staticmethod(time.monotonic)  # where the time of day jumps back, a minute would last as long

    def get_rate(self) -> str:
        """The setting in DRF's notation."""
        return f"{settings.CONFIG.rate_limit}/minute"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """One window for each endpoint (view and method) and account."""
        return f"throttle:{type(view).__name__}:{request.method}:{cast(Account, request.user).pk}"

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether this call is within the rate; calls in other threads can't slip through between."""
        with _lock:
            return bool(super().allow_request(request, view))


def count_stranger(request: Request | HttpRequest) -> None:
    """Count a call without a token that is good for it. Raises Throttled."""
    strangers = _Strangers()
    if not strangers.allow_request(cast(Request, request), APIView()):
        raise Throttled(strangers.wait())


class _Strangers(PerMinute):
    """Such calls from each address, to all endpoints together."""

    def get_rate(self) -> str:
        """The setting in DRF's notation."""
        return f"{settings.CONFIG.rate_limit * _STRANGERS}/minute"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """One window for each address, as nginx tells it; for IPv6, for each network of those that have one."""
        return f"throttle:stranger:{tries.of_address(request.META.get('HTTP_X_REAL_IP', ''))}"


def count_form(request: HttpRequest) -> int:
    """Count a form of somebody who is signed in; seconds until the next is taken, 0 for now."""
    forms = _Forms()
    if forms.allow_request(cast(Request, request), APIView()):
        return 0
    return max(1, math.ceil(forms.wait() or 1))


class _Forms(PerMinute):
    """The forms that an account sends, each page by itself, as calls of the API."""

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """One window for each page and account."""
        page = cast(HttpRequest, request).resolver_match
        return f"throttle:form:{page.url_name if page else ''}:{cast(Account, request.user).pk}"
