"""The HTTP API. Only here are HTTP status codes known."""
