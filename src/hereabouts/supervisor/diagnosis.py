"""Why a website did not come up or ended, in one sentence with the evidence and what to do next."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

_EXCEPTION = re.compile(
    r"^\s*(?:E\s+)?((?:[A-Za-z_][\w]*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|NotFound|Warning)\b.*)$"
)
_MARKED = re.compile(r"^(?:\[[^\]]*\]\s*)*(?:ERROR|CRITICAL|FATAL|Error:|error:)\W*\s*(.+)$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FLAGS = {
    "uvicorn": "--uds $DOMAIN_SOCKET",
    "gunicorn": "--bind unix:$DOMAIN_SOCKET",
    "hypercorn": "--bind unix:$DOMAIN_SOCKET",
    "granian": "--uds $DOMAIN_SOCKET",
    "daphne": "-u $DOMAIN_SOCKET",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, or the signal; both None when a supervisor's restart hid it."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False


def explain_end(ended: Ended, errors: str, command: str, memory_mb: int, *, served: bool) -> str:
    """Why the process ended. ``errors`` is the end of its error log, ``memory_mb`` its limit."""
    number = ended.signal or (ended.code - 128 if ended.code is not None and 128 < ended.code < 160 else None)
    if ended.out_of_memory:
        return (
            f"It was killed for memory: it needed more than its {memory_mb} MB. Start fewer workers, load less at "
            "once, or ask the operator for more memory."
        )
    if number is not None:
        return f"It was ended by signal {number} ({_signal_name(number)}).{_exception(errors)}"
    if ended.code is None:
        return f"It ended while the supervisor was restarting, so its exit code is not known.{_exception(errors)}"
    if ended.code == 127:
        return f"Command not found: {_not_found(errors, command)}. Check the path and that it is installed there."
    if ended.code == 126:
        return f"Permission denied: {_not_found(errors, command)} can't be executed. Check the file's mode (chmod +x)."
    if ended.code == 0:
        return (
            "The command ended by itself with exit code 0. A server must keep running in the foreground: remove "
            "a trailing & or a --daemon flag."
        )
    moment = "after it had served" if served else "before it listened on $DOMAIN_SOCKET"
    return f"It exited with code {ended.code} {moment}.{_evidence(errors)}"


def explain_silence(seconds: float, ports: list[int], errors: str, command: str) -> str:
    """Why a process that runs is not reached: it listens elsewhere, or not at all."""
    if ports:
        return explain_port(ports, command)
    hint = _evidence(errors)
    if re.search(r"permission denied|\[Errno 13\]", errors, re.IGNORECASE):
        return f"It does not listen on $DOMAIN_SOCKET after {seconds:g} s: permission denied.{hint}"
    if "DOMAIN_SOCKET" not in command:
        return (
            f"It does not listen on $DOMAIN_SOCKET after {seconds:g} s, and the command does not name it. "
            f"{_advice(command)}"
        )
    return f"It does not listen on $DOMAIN_SOCKET after {seconds:g} s.{hint}"


def explain_port(ports: list[int], command: str) -> str:
    """The server took a TCP port instead of the socket: which, and the flag that mends it."""
    noun = "port" if len(ports) == 1 else "ports"
    numbers = ", ".join(str(port) for port in ports)
    return f"It listens on TCP {noun} {numbers} instead of $DOMAIN_SOCKET. {_advice(command)}"


def explain_stall(waiting: int, seconds: float, frame: str | None) -> str:
    """The server runs and takes no requests: how many wait and how long, and where its main thread stands."""
    noun = "request waits" if waiting == 1 else "requests wait"
    where = f" Its main thread is in {frame}." if frame else ""
    return (
        f"It does not answer: {waiting} {noun}, the first for {seconds:.0f} s.{where} Something blocks its event loop, "
        "or all its workers are busy: await what takes long, or start more workers."
    )


def _advice(command: str) -> str:
    for server, flag in _FLAGS.items():
        if re.search(rf"\b{server}\b", command):
            return f"With {server}, write {flag} in place of its host and port."
    return "Make it listen on the unix socket that $DOMAIN_SOCKET names, for example uvicorn --uds $DOMAIN_SOCKET."


def _not_found(errors: str, command: str) -> str:
    for line in reversed(errors.splitlines()):
        found = re.search(
            r"(?:line \d+: |env: )(.+?): (?:command not found|No such file|Permission denied|cannot)", line
        )
        if found:
            return found.group(1).strip("'‘’")
        found = re.search(r"env: [‘'](.+?)[’']:", line)
        if found:
            return found.group(1)
    return command.split()[0]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _evidence(errors: str) -> str:
    line = last_error(errors)
    return _exception(errors) or (f" The last line of its log: {line}" if line else "")


def _exception(errors: str) -> str:
    """The evidence for a process that did not choose its end: an exception or an error, no mere last line."""
    line = _marked_error(_lines(errors))
    return f" The last error in its log: {line}" if line else ""


def last_error(errors: str) -> str:
    """The line of a log that says most about a failure: the last exception, else error, else the last line."""
    lines = _lines(errors)
    return _marked_error(lines) or (lines[-1][:300] if lines else "")


def _lines(errors: str) -> list[str]:
    lines = [_COLOUR.sub("", line).strip() for line in errors.splitlines()]
    return [line for line in lines if line and not line.startswith("[hereabouts]")]


def _marked_error(lines: list[str]) -> str:
    for pattern in (_EXCEPTION, _MARKED):
        for line in reversed(lines[-200:]):
            found = pattern.match(line)
            if found:
                return found.group(1)[:300]
    return ""
