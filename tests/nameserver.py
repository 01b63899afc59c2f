"""A name server for tests, with answers that no ready-made one gives: errors, silence, names that don't exist."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = dict[str, dict[str, list[str]]]


@dataclass
class NameServer:
    """Answers over UDP from ``zone``: name to record type to values. ``broken`` get SERVFAIL, ``silent`` nothing."""

    socket: socket.socket
    zone: Zone = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                data, client = self.socket.recvfrom(4096)
            except OSError:
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self.socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        name, kind = query.question[0].name.to_text().rstrip("."), query.question[0].rdtype
        self.asked.append((name, dns.rdatatype.to_text(kind)))
        if name in self.silent:
            return None
        answer = dns.message.make_response(query, recursion_available=True)
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        for _ in range(10):
            records = self.zone.get(name)
            if records is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
                return answer
            wanted = dns.rdatatype.to_text(kind)
            chosen = "CNAME" if "CNAME" in records else wanted
            if records.get(chosen):
                answer.answer.append(dns.rrset.from_text_list(f"{name}.", 60, "IN", chosen, records[chosen]))
            if chosen == wanted:
                break
            name = records["CNAME"][0].rstrip(".")
        return answer


@contextmanager
def name_server(zone: Zone) -> Iterator[NameServer]:
    """A name server that runs."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    made = NameServer(listener, zone)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listener.close()
