"""Certificates: the local authority now; public ones come with custom domains."""
