"""Who calls: ``Authorization: Token <40 hex digits>``."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from hereabouts.control import audit, services
from hereabouts.control.models import Account, Way


class TokenAuthentication(BaseAuthentication):
    """An account's API token, or the one that its own sandboxes carry."""

    def authenticate(self, request: Request) -> tuple[Account, str] | None:
        """The account and its token; None without credentials of this kind."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"token":
            return None
        token = words[1].decode("latin-1") if len(words) == 2 else ""
        address = request.META.get("HTTP_X_REAL_IP", "")
        account = services.authenticate_token(token, address)
        if account is None:
            raise AuthenticationFailed("Invalid token.")
        audit.act_as(account.username, Way.API, address)
        return account, token

    def authenticate_header(self, request: Request) -> str:
        """The scheme for ``WWW-Authenticate``."""
        return "Token"
