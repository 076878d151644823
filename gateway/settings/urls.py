"""Addresses in the configuration: where to listen, and which provider URLs may be called at all.

The rule for providers: https to a public host, written plainly. `allow_private` opens http, private and loopback addresses
for the provider that says so; credentials in a URL, odd spellings of an address and the addresses of cloud metadata
services are refused always. Names are judged as written; nothing is looked up here.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"^{_LABEL}(?:\.{_LABEL})*$")
_PRINTABLE = re.compile(r"^[!-~]+\Z")
_NUMERIC = re.compile(r"^(?:0x[0-9a-f]*|[0-9]+)$")
_PATH = re.compile(r"^(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?$")
_PRIVATE_SUFFIX = (".local", ".internal", ".localhost", ".lan", ".home.arpa", ".intranet", ".corp", ".svc")
_METADATA = frozenset(
    ("metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal")
)
_METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text) for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressError(ValueError):
    """The address cannot be used; the message says why and never quotes what may be a credential."""


@dataclass(frozen=True, slots=True)
class Target:
    """A provider's base URL, taken apart. `path` has no trailing slash; `authority` is the value of `Host`."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host, with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def target(url: str, *, private: bool) -> Target:
    """Take a base URL apart, or raise AddressError. `private` is the provider's `allow_private`."""
    if not _PRINTABLE.match(url):
        raise AddressError("holds white space or characters beyond ASCII; write it plainly")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressError("is not a URL; write https://host or https://host/path") from None
    if parts.scheme not in {"https", "http"} or not parts.netloc:
        raise AddressError("must be a URL such as https://api.openai.com")
    if "@" in parts.netloc:
        raise AddressError("holds a user or password; put the key in api_key")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise AddressError("must end before ? and #")
    if not _PATH.match(parts.path) or any(part in {".", ".."} for part in parts.path.split("/")):
        raise AddressError("has a path that is not plain; write its segments without dots, escapes or doubled slashes")
    if parts.scheme == "http" and not private:
        raise AddressError("is http, which sends keys in the clear; use https, or say allow_private: true")
    if port == 0:
        raise AddressError("has port 0; name the port the provider listens on")
    secure = parts.scheme == "https"
    host = _host(parts.netloc, private=private)
    return Target(secure, host, port or (443 if secure else 80), parts.path.rstrip("/"))


def _host(netloc: str, *, private: bool) -> str:
    bracketed = netloc.startswith("[")
    text = netloc[1 : netloc.rfind("]")] if bracketed else netloc.partition(":")[0].lower()
    address = _address(text)
    if address is not None:
        if str(address) != text.lower():
            raise AddressError(f"writes its address oddly; write {address}")
        _check_address(address, private=private)
        return text.lower()
    if bracketed:
        raise AddressError("has brackets around what is no IPv6 address")
    if not _NAME.match(text) or len(text) > 253:
        raise AddressError("has a host that is no plain name; write it in lower-case ASCII, without a trailing dot")
    if _NUMERIC.match(text.rpartition(".")[2]):
        raise AddressError("writes an address oddly; write four decimal numbers such as 192.0.2.1, or a name")
    if text in _METADATA:
        raise AddressError("is a cloud metadata service, which is never a provider")
    if ("." not in text or text.endswith(_PRIVATE_SUFFIX)) and not private:
        raise AddressError("is a private name; say allow_private: true if that is meant")
    return text


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped or address.sixtofour):
        raise AddressError("writes an address oddly; write the IPv4 address itself, without a zone")
    return address


def _check_address(address: Address, *, private: bool) -> None:
    if address in _METADATA_ADDRESSES or address.is_link_local:
        raise AddressError("is a link-local or cloud metadata address, which is never a provider")
    if address.is_unspecified or address.is_multicast:
        raise AddressError("is no address that can be called")
    if not address.is_global and not private:
        raise AddressError("is a private address; say allow_private: true if that is meant")


def listener(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` of a listener. Port 0 takes a free one. Raises AddressError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError("has an IPv6 address without brackets; write [::1]:8080")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise AddressError("must be host:port such as 127.0.0.1:8080")
    if not host:
        raise AddressError("names no host; write 127.0.0.1 for this machine only or 0.0.0.0 for all interfaces")
    return host, int(port)


def loopback(host: str) -> bool:
    """Whether a listener on this host can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
