"""Addresses: one spelling of each, what of them counts as one caller, and looking a host's up."""

from __future__ import annotations

import socket
import threading
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue

KNOWN = 4096
"""How many are remembered: each request asks, and reading one takes microseconds."""


@lru_cache(maxsize=KNOWN)
def plain(address: str) -> str:
    """The one spelling of an address. A socket that takes IPv6 names a caller by IPv4
    ::ffff:203.0.113.7, and he is 203.0.113.7 all the same. What is no address stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped if found.version == 6 else None
    return str(mapped or found)


@lru_cache(maxsize=KNOWN)
def counted_as(address: str) -> str:
    """What one caller has many of counts as one: the addresses of an IPv6 network of 64 bits."""
    address = plain(address)
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ip_network((int(found) >> 64 << 64, 64)))


def network(text: str) -> IPv4Network | IPv6Network:
    """Of addresses in their one spelling (plain). Raises ValueError."""
    found = ip_network(text)
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if mapped is None or found.prefixlen < 96:
        return found
    return IPv4Network((int(mapped), found.prefixlen - 96))


def of_host(host: str, seconds: float) -> list[str]:
    """The addresses of a host, each once; of an address itself. Raises OSError, and TimeoutError
    when it takes longer than so many seconds.

    The system's resolver can't be told how long to look, so a thread waits for it, and is left to
    itself when the time is over."""
    host = host.strip("[]")
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass  # a name
    answer: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answer.put(OSError(str(error)))

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"{host} was not resolved in time") from None
    if isinstance(found, OSError):
        raise found
    return found
