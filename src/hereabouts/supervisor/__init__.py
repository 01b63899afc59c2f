"""The supervisor: the only one that touches processes, sockets, control groups and users' files."""
