"""The dashboard's paths, each with and without its trailing slash."""

from django.urls import path, re_path

from hereabouts.control.dashboard import pages, sign_in

urlpatterns = [
    path("", pages.first, name="first"),
    re_path(r"^sign-in/?$", sign_in.sign_in, name="sign_in"),
    re_path(r"^sign-out/?$", sign_in.sign_out, name="sign_out"),
]
