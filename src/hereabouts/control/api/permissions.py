"""Whose the URL is."""

from __future__ import annotations

from typing import cast

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from hereabouts.control.models import Account


class OwnUrl(BasePermission):
    """The URL names the caller. Another user's URL and an unknown user's answer alike."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the caller may use this URL."""
        account = cast(Account, request.user)
        return account.username == str(view.kwargs["username"]).lower()
