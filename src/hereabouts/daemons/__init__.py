"""The composition root: each process of the platform, built from its parts."""
