"""Whose the URL is, and who may act there."""

from __future__ import annotations

from typing import cast

from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from hereabouts.control import services
from hereabouts.control.models import Account
from hereabouts.errors import NoSuchAccount


class OwnUrl(BasePermission):
    """The URL names the caller; an operator acts on anybody's. To others, another user's URL and an unknown user's
    answer alike.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the caller may use this URL. Raises NotFound for an operator who names nobody."""
        caller, name = cast(Account, request.user), str(view.kwargs["username"])
        if caller.username != name.lower() and not services.acts_for_others(caller, str(request.auth)):
            return False
        try:
            view.account = caller if caller.username == name.lower() else services.find_account(name)  # type: ignore[attr-defined]
        except NoSuchAccount:
            raise NotFound from None
        return True
