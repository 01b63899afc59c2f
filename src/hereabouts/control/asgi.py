"""The ASGI application of control."""

import gc
import os
import warnings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hereabouts.control.settings")

from django.core.asgi import get_asgi_application
from django.urls import reverse

from hereabouts.control.bodies import WholeBodies

# WhiteNoise's files are few and small: that Django reads each as a whole is no news for the log.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
application = WholeBodies(get_asgi_application())
# What is loaded now, every view with it, stays for good. That the collector looks at it again and again would cost a
# page a third of its time.
reverse("first")
gc.collect()
gc.freeze()
