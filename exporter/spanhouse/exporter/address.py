"""Listener addresses, and the error for an option that the user has to correct."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

OFF: Final = "off"


class ConfigError(ValueError):
    """An option that the user has to correct. The message is one line that names the option."""


@dataclass(frozen=True, slots=True)
class Address:
    """A listener's address; port 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, option: str) -> Self | None:
        """Parse ``HOST:PORT`` or ``[IPV6]:PORT``; return None for ``off``.

        Raises:
            ConfigError: the text is neither.
        """
        if text == OFF:
            return None
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ConfigError(f"{option}: {text!r} is not HOST:PORT (or off)")
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """Return True if only this machine can reach the address."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
