"""The ASGI application of control."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hereabouts.control.settings")

from django.core.asgi import get_asgi_application

from hereabouts.control.bodies import WholeBodies

application = WholeBodies(get_asgi_application())
