"""The API's paths, each with and without its trailing slash."""

from django.urls import re_path

from hereabouts.control.api import certificates, domains, metrics, telling, views

_USER = r"^user/(?P<username>[^/]+)/"

urlpatterns = [
    re_path(_USER + r"websites/?$", views.WebsiteList.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/?$", views.WebsiteDetail.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/reload/?$", views.WebsiteReload.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/metrics/?$", metrics.WebsiteMetrics.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/steps/?$", telling.WebsiteSteps.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/logs/(?P<kind>access|error|server)/?$", telling.WebsiteLog.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/domains/?$", domains.DomainList.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/domains/(?P<name>[^/]+)/?$", domains.DomainDetail.as_view()),
    re_path(_USER + r"websites/(?P<domain>[^/]+)/domains/(?P<name>[^/]+)/dns/?$", telling.DomainLookup.as_view()),
    re_path(_USER + r"domains/(?P<domain>[^/]+)/ssl/?$", certificates.DomainCertificate.as_view()),
]
