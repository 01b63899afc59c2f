"""The dashboard's paths, each with and without its trailing slash."""

from django.urls import path, re_path

from hereabouts.control.dashboard import logs, names, new, one, pages, sign_in, website, websites

urlpatterns = [
    path("", pages.first, name="first"),
    re_path(r"^sign-in/?$", sign_in.sign_in, name="sign_in"),
    re_path(r"^sign-out/?$", sign_in.sign_out, name="sign_out"),
    re_path(r"^websites/?$", websites.websites, name="websites"),
    re_path(r"^websites/new/?$", new.new, name="new_website"),
    re_path(r"^websites/new/recipe/?$", new.recipe, name="new_website_recipe"),
    re_path(r"^websites/new/name/?$", new.name, name="new_website_name"),
    *one.urls(),
]
# Whatever is of one website registers itself: its paths are there because its module is imported.
TABBED = (website, names, logs)
