"""The ASGI application of control."""

import os
import warnings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hereabouts.control.settings")

from django.core.asgi import get_asgi_application

from hereabouts.control.bodies import WholeBodies

# WhiteNoise's files are few and small: that Django reads each as a whole is no news for the log.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
application = WholeBodies(get_asgi_application())
