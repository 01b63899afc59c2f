"""The sandbox that sites and consoles run in: an OCI runtime, its configuration, homes and network."""
