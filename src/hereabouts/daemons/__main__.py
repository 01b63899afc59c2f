"""``python -m hereabouts.daemons NAME``: how `up` runs each process of the platform, and systemd (with ``--unit``)."""

from __future__ import annotations

import resource
import sys
import traceback

from hereabouts import config
from hereabouts.daemons import record
from hereabouts.errors import HereaboutsError


def main(name: str, *, unit: bool = False) -> int:
    """Run one process to its end, as a ``unit`` of systemd's or not.

    A message for people goes to standard error as one line, exit code 1.
    """
    try:
        settings = config.load()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a shell's own limit is meant for programs of its own
        if unit:
            record.note_unit(settings, name)
        if name == "control":
            from hereabouts.daemons import control

            control.run(settings)
        elif name == "supervisor":
            from hereabouts.daemons import supervisor

            supervisor.run(settings)
        elif name == "certificates":
            from hereabouts.daemons import certificates

            certificates.run(settings)
        elif name == "nginx":
            from hereabouts.daemons import ingress

            ingress.run(settings)
        elif name == "nginx-reload":
            from hereabouts.daemons import ingress

            ingress.renew(settings)
        elif name == "machine":
            from hereabouts.daemons import ground

            ground.prepare_machine(settings)
        else:
            from hereabouts.daemons import first_run

            first_run.main(settings, name)
        return 0
    except HereaboutsError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], unit="--unit" in sys.argv[2:]))
