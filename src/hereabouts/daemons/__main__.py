"""``python -m hereabouts.daemons NAME``: how `up` runs each process of the platform."""

from __future__ import annotations

import sys
import traceback

from hereabouts import config
from hereabouts.errors import HereaboutsError


def main(name: str) -> int:
    """Run one process to its end. A message for people goes to standard error, exit code 1."""
    try:
        settings = config.load()
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
        elif name == "machine":
            from hereabouts.daemons import ground

            ground.prepare_machine(settings)
        else:
            from hereabouts.daemons import first_run

            first_run.main(settings, name)
        return 0
    except HereaboutsError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
