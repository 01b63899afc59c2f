"""Why a website did not come up or ended, in one sentence with the evidence and what to do next."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass

_EXCEPTION = re.compile(
    r"^\s*(?:E\s+)?((?:[A-Za-z_][\w]*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|NotFound|Warning)\b.*)$"
)
_MARKED = re.compile(r"^(?:\[[^\]]*\]\s*)*(?:ERROR|CRITICAL|FATAL|Error:|error:)\W*\s*(.+)$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LINE = 1000
"""Characters of a line that are looked at."""
_FLAGS = {
    "uvicorn": "--uds $DOMAIN_SOCKET",
    "gunicorn": "--bind unix:$DOMAIN_SOCKET",
    "hypercorn": "--bind unix:$DOMAIN_SOCKET",
    "granian": "--uds $DOMAIN_SOCKET",
    "daphne": "-u $DOMAIN_SOCKET",
}
_BETWEEN_WORDS = re.compile(r"""[\s;&|()"'`]+""")


_CROWDED = re.compile(
    r"can't start new thread|fork:.*Resource temporarily unavailable|(?:fork|clone|thread|process).*EAGAIN"
    r"|BlockingIOError: \[Errno 11\]",
    re.IGNORECASE,
)
_FULL = re.compile(r"No space left on device|\[Errno 28\]|ENOSPC|database or disk is full")
_REMEDIES = (
    (
        re.compile(r"No module named"),
        "Install it in the virtual environment whose Python the command runs, or correct the name.",
    ),
    (
        re.compile(r"Could not import module|Error loading ASGI app|can't open file|Failed to find attribute"),
        "Check the name, and that the file lies where the command looks for it: in the home, unless it goes elsewhere.",
    ),
    (re.compile(r"[Pp]ermission denied|\[Errno 13\]"), "Use a path in the home, and $DOMAIN_SOCKET exactly as it is."),
    (re.compile(r"No such file or directory"), "Check the path: a sandbox has its home, /tmp and /usr."),
)
"""What to do, by the line of the log that says most."""
_OF_NATIVE_CODE = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
DEAF = "It stopped listening on $DOMAIN_SOCKET, so it was replaced. Keep the socket open; the error log may say why."
_LOOP = re.compile(r"^It failed \d+ times in a row since \S+ UTC; .*?\. ")


@dataclass(frozen=True, slots=True)
class Killed:
    """What the kernel tells of a kill for memory, in MB: of the sandbox, and of the process that it chose."""

    used_mb: int = 0
    limit_mb: int = 0
    program: str = ""
    program_mb: int = 0
    machine: bool = False
    """Whether it was not the sandbox that had too much, but the machine, or a group with all sandboxes, too little."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, or the signal; both None when a supervisor's restart hid it."""

    code: int | None = None
    signal: int | None = None
    killed: Killed | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of an instance that failed. ``errors`` is the end of its error log, the limits are its own."""

    command: str
    errors: str = ""
    memory_mb: int = 512
    processes: int = 256
    crowded: bool = False
    """Whether the kernel has just refused it a process."""


def explain_end(ended: Ended, case: Case, *, served: bool) -> str:
    """Why the process ended."""
    number = ended.signal or (ended.code - 128 if ended.code is not None and 128 < ended.code < 160 else None)
    if ended.killed is not None:
        return _memory(ended.killed, case.memory_mb)
    if ended.code not in (0, 126, 127):
        shortage = _shortage(case)
        if shortage:
            return shortage
    if number is not None:
        return f"It was ended by signal {number} ({_signal_name(number)}).{_exception(case.errors)} {_after(number)}"
    if ended.code is None:
        return (
            "It ended while the supervisor was restarting, so its exit code is not known."
            f"{_exception(case.errors)} The error log may say why."
        )
    return _explain_code(ended.code, case, served=served)


def _explain_code(code: int, case: Case, *, served: bool) -> str:
    if code == 127:
        return f"Command not found: {_not_found(case)}. Check the path and that it is installed there."
    if code == 126:
        return f"Permission denied: {_not_found(case)} can't be executed. Check the file's mode (chmod +x)."
    if code == 0:
        return (
            "The command ended by itself with exit code 0. A server must keep running in the foreground: remove "
            "a trailing & or a --daemon flag."
        )
    moment = "after it had served" if served else "before it listened on $DOMAIN_SOCKET"
    return f"It exited with code {code} {moment}.{_evidence(case.errors)} {_remedy(case.errors)}"


def _memory(killed: Killed, limit_mb: int) -> str:
    if killed.machine:
        return _machine_full(killed, limit_mb)
    used = f" It used {killed.used_mb} MB of {killed.limit_mb} MB" if killed.limit_mb else ""
    if used and killed.program:
        used += f", {killed.program} alone {killed.program_mb} MB"
    elif killed.program:
        used = f" {killed.program} alone used {killed.program_mb} MB"
    return (
        f"It was killed for memory: it needed more than its {limit_mb} MB.{used}{'.' if used else ''} Start fewer "
        "workers, load less at once, or ask the operator for more memory."
    )


def _machine_full(killed: Killed, limit_mb: int) -> str:
    used = f" The kernel chose {killed.program}, which used {killed.program_mb} MB." if killed.program else ""
    return (
        f"It was killed because the machine ran out of memory, not for more than its own {limit_mb} MB.{used} "
        "Tell the operator; what uses less is chosen less."
    )


def _shortage(case: Case) -> str | None:
    """The sentence for a failure because there were too many processes, or no room; None for other failures."""
    line = last_error(case.errors)
    evidence = f" The last error in its log: {line}." if line else ""
    if case.crowded or _CROWDED.search(line):
        return (
            f"It has too many processes: more than its limit, processes = {case.processes}, threads included."
            f"{evidence} Start fewer workers or threads, or ask the operator for more."
        )
    if _FULL.search(line):
        return f"The disk is full.{evidence} Remove what is not needed, or ask the operator for more room."
    return None


def explain_silence(seconds: float, ports: list[int], sockets: list[str], case: Case, *, listens: bool = False) -> str:
    """Why a process that runs is not reached: it listens elsewhere, or not at all, or takes no connection."""
    named = "DOMAIN_SOCKET" in case.command
    if not listens and not named and (ports or sockets):
        return explain_elsewhere(ports, sockets, case.command)
    shortage = _shortage(case)
    if shortage:
        return shortage
    hint = _evidence(case.errors)
    if listens:
        return (
            f"It listens on $DOMAIN_SOCKET, but has taken no connection after {seconds:g} s.{hint} Its workers do not "
            "come up, or its start takes long: do what takes long later, or ask the operator for a longer "
            "start_seconds."
        )
    if re.search(r"permission denied|\[Errno 13\]", case.errors, re.IGNORECASE):
        return (
            f"It does not listen on $DOMAIN_SOCKET after {seconds:g} s: permission denied.{hint} "
            "Use the path in $DOMAIN_SOCKET exactly as it is."
        )
    if not named:
        return (
            f"It does not listen on $DOMAIN_SOCKET after {seconds:g} s, and the command does not name it. "
            f"{_advice(case.command, 'its host and port')}"
        )
    only = f", only on {_places(ports, sockets)}" if ports or sockets else ""
    return (
        f"It does not listen on $DOMAIN_SOCKET after {seconds:g} s{only}.{hint} Do what takes long after the start, "
        "or ask the operator for a longer start_seconds."
    )


def explain_elsewhere(ports: list[int], sockets: list[str], command: str) -> str:
    """The server took a TCP port or another unix socket: which, and the flag that mends it."""
    mend = _advice(command, "its host and port" if ports else "that path")
    return f"It listens on {_places(ports, sockets)} instead of $DOMAIN_SOCKET. {mend}"


def explain_so_far(ports: list[int], sockets: list[str], command: str) -> str:
    """The same of a program that may still come to its own socket, since nobody knows what it is about to do."""
    if _server(command):
        return explain_elsewhere(ports, sockets, command)
    return f"So far it listens on {_places(ports, sockets)}, not on $DOMAIN_SOCKET. {_advice(command, '')}"


def _places(ports: list[int], sockets: list[str]) -> str:
    if ports:
        return f"TCP port{'s' * (len(ports) > 1)} {', '.join(map(str, ports))}"
    return f"the unix socket{'s' * (len(sockets) > 1)} {', '.join(path[:108] for path in sockets[:3])}"


def explain_loop(reason: str, failures: int, since: float, retry: float | None) -> str:
    """The reason of a website that fails again and again. Times in seconds since the epoch; no ``retry``: it is on."""
    following = f"next try at {_clock(retry)} UTC" if retry is not None else "it is being tried again now"
    return f"It failed {failures} times in a row since {_clock(since)} UTC; {following}. {reason}"


def without_loop(detail: str) -> str:
    """The reason alone."""
    return _LOOP.sub("", detail)


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(moment))


def explain_health(path: str, answer: str, seconds: float) -> str:
    """Why a process that listens is not led to: what its health check got in the time that it has."""
    return f"The health check GET {path} {answer} within {seconds:g} s. Mend what it looks at, or raise health_seconds."


def explain_stall(waiting: int, seconds: float, frame: str | None) -> str:
    """The server runs and takes no requests: how many wait and how long, and where its main thread stands."""
    noun = "request waits" if waiting == 1 else "requests wait"
    where = f" Its main thread is in {frame}." if frame else ""
    return (
        f"It does not answer: {waiting} {noun}, the first for {seconds:.0f} s.{where} Something blocks its event loop, "
        "or all its workers are busy: await what takes long, or start more workers."
    )


def _advice(command: str, place: str) -> str:
    server = _server(command)
    if server:
        return f"With {server}, write {_FLAGS[server]} in place of {place}."
    return "Make it listen on the unix socket that $DOMAIN_SOCKET names, for example uvicorn --uds $DOMAIN_SOCKET."


def _server(command: str) -> str | None:
    """The server that the command runs: the first of its words that is one's name, be it a path's last part or what
    follows ``-m``. A worker class or a directory may hold the name of another."""
    names = [word.rpartition("/")[2] for word in _BETWEEN_WORDS.split(command)]
    return next((name for name in names if name in _FLAGS), None)


def _not_found(case: Case) -> str:
    for line in reversed([line[:_LINE] for line in case.errors.splitlines()]):
        found = re.search(
            r"(?:line \d+: |env: )(.+?): (?:command not found|No such file|Permission denied|cannot)", line
        )
        if found:
            return found.group(1).strip("'‘’")
        found = re.search(r"env: [‘'](.+?)[’']:", line)
        if found:
            return found.group(1)
    return case.command.split()[0]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _after(number: int) -> str:
    """What to do about a signal."""
    if number in _OF_NATIVE_CODE:
        return "Native code failed: update the libraries that hold some; PYTHONFAULTHANDLER=1 shows the place."
    return "The platform did not send it: look for what did, in the error log and in the code."


def _remedy(errors: str) -> str:
    """What to do about an exit code, by what the log says."""
    line = last_error(errors)
    for pattern, remedy in _REMEDIES:
        if pattern.search(line):
            return remedy
    if line:
        return "Mend what it names; the error log has the rest."
    return "It wrote nothing to its error log: run the command in a Bash console to see more."


def _evidence(errors: str) -> str:
    line = last_error(errors)
    return _exception(errors) or (f" The last line of its log: {_ended(line)}" if line else "")


def _exception(errors: str) -> str:
    """The evidence for a process that did not choose its end: an exception or an error, no mere last line."""
    line = _marked_error(_lines(errors))
    return f" The last error in its log: {_ended(line)}" if line else ""


def _ended(line: str) -> str:
    """The line as the end of a sentence."""
    return line if line.endswith((".", "!", "?")) else f"{line}."


def last_error(errors: str) -> str:
    """The line of a log that says most about a failure: the last exception, else error, else the last line."""
    lines = _lines(errors)
    return _marked_error(lines) or (lines[-1][:300] if lines else "")


def _lines(errors: str) -> list[str]:
    lines = [_COLOUR.sub("", line[:_LINE]).strip() for line in errors.splitlines()]
    return [line for line in lines if line and not line.startswith("[hereabouts]")]


def _marked_error(lines: list[str]) -> str:
    for pattern in (_EXCEPTION, _MARKED):
        for line in reversed(lines[-200:]):
            found = pattern.match(line)
            if found:
                return found.group(1)[:300]
    return ""
