"""Answers to forms that several pages give."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from hereabouts.errors import HereaboutsError, InvalidInput


def see_other(request: HttpRequest, message: str, to: str, *args: Any) -> HttpResponseBase:
    """What was asked for is done: to that page, which tells so."""
    messages.success(request, message)
    answer = redirect(to, *args)
    answer.status_code = 303
    return answer


def once(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A page with something that is shown once and kept nowhere, in no cache either."""
    page = render(request, template, context)
    page.headers["Cache-Control"] = "no-store"
    return page


def errors_of(error: HereaboutsError, field: str = "") -> dict[str, str]:
    """What is wrong, by the field that it belongs to: the error's own, or else this one."""
    return {error.field if isinstance(error, InvalidInput) else field or "form": str(error)}


def confirm(request: HttpRequest, **question: Any) -> HttpResponse | None:
    """A page that asks before what can't be undone, until its answer has come; then None.

    ``question``: ``title``, ``text``, ``button`` and ``back``, an address.
    """
    if request.POST.get("confirmed") == "yes":
        return None
    sent = [(name, value) for name, value in request.POST.items() if name != "csrfmiddlewaretoken"]
    return render(request, "dashboard/confirm.html", {**question, "sent": sent})
