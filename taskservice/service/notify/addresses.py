"""Where a webhook may go: names are looked up once, and what was checked is what is called."""

import ipaddress
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MOST = 16


class NotAllowed(Exception):
    """A name leads to an address of the machine's own network."""


def addresses_of(host: str, port: int, *, private: bool) -> list[str]:
    """The addresses that a host's name has; blocks.

    Raises OSError where it has none, and `NotAllowed` where one of them is not public and that is
    not `private`.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    names = list(dict.fromkeys(str(one[4][0]) for one in found))[:_MOST]
    if not private and not all(is_public(ipaddress.ip_address(name)) for name in names):
        raise NotAllowed
    return names


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, whatever it is written as."""
    return all(one.is_global and not one.is_multicast for one in (address, *_within(address)))


def _within(address: Address) -> Sequence[IPv4Address]:
    """The addresses of IPv4 that one of IPv6 stands for."""
    if isinstance(address, IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
