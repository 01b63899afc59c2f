"""``hereabouts``: every command, and what becomes of an error."""

from __future__ import annotations

import errno
import sys

import typer

from hereabouts.cli import certificates, config, doctor, env, install, logs, shell, status, support, tokens, up, users
from hereabouts.errors import HereaboutsError

app = typer.Typer(
    name="hereabouts",
    help="ASGI hosting that you run yourself. `hereabouts up` starts it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("up", short_help="Prepare this machine and run the platform.")(up.up)
app.add_typer(users.app, name="user")
app.add_typer(tokens.app, name="token")
app.command("env", short_help="Print export lines for the official client.")(env.env)
app.command("shell", short_help="Open a Bash console in an account's sandbox.")(shell.shell)
app.command("status", short_help="Show the processes and every website.")(status.status)
app.command("certificates", short_help="Show every certificate and its renewal.")(certificates.certificates)
app.command("logs")(logs.logs)
app.command("doctor", short_help="Check the machine; failures with a remedy.")(doctor.doctor)
app.command("config", short_help="Show the settings and their sources.")(config.config)
app.command("install", short_help="Write systemd units for production.")(install.install)


def main() -> None:
    """Run the command line. Failures are told in a sentence and end with exit code 1."""
    try:
        app()
    except HereaboutsError as error:
        support.fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()
    except OSError as error:
        support.fail(_of_system(error))
    except Exception as error:
        if not type(error).__module__.startswith("django.db"):
            raise
        support.fail(f"The database can't be used: {error}. `hereabouts doctor` checks the disk.")
    sys.exit(1)


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    remedy = {
        errno.EACCES: " Run it with sudo.",
        errno.EPERM: " Run it with sudo.",
        errno.ENOSPC: " Free some space on that disk.",
        errno.EROFS: " Make that file system writable, or set `data_dir` to another.",
    }.get(error.errno or 0, "")
    return f"{where}{error.strerror or error}.{remedy}"


if __name__ == "__main__":
    main()
