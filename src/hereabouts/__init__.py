"""ASGI hosting you run yourself."""

from importlib.metadata import version

__version__ = version("hereabouts")
