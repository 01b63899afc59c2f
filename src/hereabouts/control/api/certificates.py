"""The endpoints of a domain's certificate: order or upload, get, delete."""

from __future__ import annotations

from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from hereabouts.control import certificates, domains
from hereabouts.control.api import schema
from hereabouts.control.api import serializers as shapes
from hereabouts.control.api.views import WebsitesView
from hereabouts.control.models import Domain

_ORDER = OpenApiExample(
    "Order", value={"cert_type": "letsencrypt-auto-renew"}, request_only=True, media_type="application/json"
)
_UPLOAD = OpenApiExample(
    "Upload",
    value={
        "cert": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
        "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n",
    },
    request_only=True,
    media_type="application/json",
)


@method_decorator(sensitive_post_parameters("cert", "private_key"), "dispatch")
@extend_schema(parameters=[schema.USERNAME, schema.DOMAIN], tags=["certificates"])
class DomainCertificate(WebsitesView):
    """The certificate of one domain."""

    def domain(self) -> Domain:
        """The domain that the URL names, of any website of the account. Raises NoSuchDomain."""
        return domains.find(self.account, self.kwargs["domain"])

    @extend_schema(
        operation_id="get_certificate",
        responses={200: shapes.CertificateOutput, **schema.REFUSALS, **schema.MISSING_CERTIFICATE},
    )
    def get(self, request: Request, username: str, domain: str) -> Response:
        """Get a domain's certificate."""
        return Response(shapes.certificate_object(certificates.find(self.domain())))

    @extend_schema(
        operation_id="set_certificate",
        request=schema.CERTIFICATE_BODIES,
        responses={**schema.REFUSALS, **schema.CERTIFIED, **schema.BODY_REFUSALS, **schema.MISSING_DOMAIN},
        examples=[_ORDER, _UPLOAD],
    )
    def post(self, request: Request, username: str, domain: str) -> Response:
        """Order a certificate that is renewed by itself, or use your own. Answers once visitors see it."""
        found = self.domain()
        body = shapes.CertificateInput(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        if "cert" in wanted:
            certificates.upload(found, wanted["cert"], wanted["private_key"])
        else:
            certificates.order(found)
        return Response({"status": "OK"})

    @extend_schema(
        operation_id="delete_certificate",
        responses={204: None, **schema.REFUSALS, **schema.MISSING_CERTIFICATE},
    )
    def delete(self, request: Request, username: str, domain: str) -> Response:
        """Delete a domain's certificate. It is neither shown nor renewed any more."""
        certificates.remove(self.domain())
        return Response(status=status.HTTP_204_NO_CONTENT)
