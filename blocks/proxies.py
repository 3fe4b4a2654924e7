"""The proxies that the environment names: loopback is never reached through one, and each is an address.

Libraries look for them in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case, each in its own way: what is
said in NO_PROXY holds for all of them, and for every process that is started. Imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import MutableMapping
from typing import Final
from urllib.parse import urlsplit

NAMES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1", "127.0.0.0/8")
"""Not all libraries understand the net, so the usual address of it stands for itself too."""
_SCHEMES: Final = ("http", "https", "socks5", "socks5h")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine as it sees itself."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def spare_loopback(*addresses: str | None, environ: MutableMapping[str, str] = os.environ) -> None:
    """Have NO_PROXY name loopback too, where any proxy is named; what the user has put there stays.

    Args:
        addresses: URLs; the host of one that is loopback is named by itself as well, for libraries that know no nets.
        environ: The environment.
    """
    if not any(environ.get(spelt) for name in NAMES for spelt in (name, name.lower())):
        return
    hosts = [host for each in addresses if (host := _host(each or "")) and is_loopback(host)]
    # An empty one in lower case hides the other from some libraries.
    for name in [name for name in ("NO_PROXY", "no_proxy") if name in environ] or ["NO_PROXY", "no_proxy"]:
        there = [word.strip() for word in environ.get(name, "").split(",") if word.strip()]
        if "*" not in there:
            environ[name] = ",".join(dict.fromkeys([*there, *LOOPBACK, *hosts]))


def proxy_of(address: str) -> str:
    """Name of the variable with a proxy for an address, that of its scheme if there is one; empty: none.

    This machine itself has none.
    """
    if is_loopback(_host(address)):
        return ""
    names = (f"{urlsplit(address).scheme.upper()}_PROXY", "ALL_PROXY", *NAMES)
    return next((spelt for name in names for spelt in (name, name.lower()) if os.environ.get(spelt)), "")


def wrong_proxy() -> str | None:
    """What is wrong with the first proxy that is no address, as a sentence without its end; None where all are.

    The value itself may hold a password and is not repeated.
    """
    for name in NAMES:
        for spelt in (name, name.lower()):
            value = os.environ.get(spelt, "")
            if value and (wrong := _wrong(value)):
                return f"{spelt} {wrong}"
    return None


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _wrong(value: str) -> str | None:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, _ = parts.hostname, parts.port
    except ValueError:  # Its words may repeat a password.
        return "is not the address of a proxy"
    if parts.scheme not in _SCHEMES:
        return f"is not the address of a proxy (it begins with {parts.scheme}://)"
    if not host or any(letter.isspace() for letter in value):
        return "is not the address of a proxy"
    return None
