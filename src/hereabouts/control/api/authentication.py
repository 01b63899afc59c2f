"""Who calls: ``Authorization: Token <40 hex digits>``."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from hereabouts.control import services
from hereabouts.control.models import Account


class TokenAuthentication(BaseAuthentication):
    """An account's API token, or the one that its own sandboxes carry."""

    def authenticate(self, request: Request) -> tuple[Account, str] | None:
        """The account and its token; None without credentials of this kind."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"token":
            return None
        token = words[1].decode("latin-1") if len(words) == 2 else ""
        account = services.authenticate_token(token)
        if account is None:
            raise AuthenticationFailed("Invalid token.")
        return account, token

    def authenticate_header(self, request: Request) -> str:
        """The scheme for ``WWW-Authenticate``."""
        return "Token"
