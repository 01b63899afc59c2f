"""The Django application."""

from django.apps import AppConfig


class ControlConfig(AppConfig):
    """Models of accounts, websites and what is seen of them."""

    name = "hereabouts.control"
    label = "control"
    default_auto_field = "django.db.models.BigAutoField"
