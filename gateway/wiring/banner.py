"""What `trivet serve` prints when everything is ready: where to point each SDK, and whose key each provider is called with.

Rule of the file: it names environment variables and the word `client`, never a key.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.settings.model import ProviderSettings, Settings
from gateway.wiring.process import join_address, split_address

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that is ready."""

    settings: Settings
    warnings: tuple[str, ...]
    """What the check of the configuration warns of."""
    data: str
    """`host:port` of the data port; empty when this supervisor runs no live worker."""
    admin: str
    workers: int
    store_pid: int
    config: str
    python: str


@dataclass(frozen=True, slots=True)
class Banner:
    """The start-up message as rows of (left, right), so that it can be printed plainly or as tables."""

    title: str
    base_urls: tuple[tuple[str, str], ...]
    providers: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def text(self) -> str:
        """The message, plain."""
        lines = [self.title, ""]
        for heading, rows in (
            ("Point your SDK here", self.base_urls),
            ("Whose key is used", self.providers),
            ("", self.facts),
        ):
            if not rows:
                continue
            if heading:
                lines.append(f"  {heading}")
            width = max(len(left) for left, _ in rows)
            lines += [f"    {left:<{width}}  {right}" for left, right in rows]
            lines.append("")
        lines += [f"  WARNING: {warning}" for warning in self.warnings]
        return "\n".join(lines).rstrip() + "\n"


def banner(served: Served, version: str) -> Banner:
    """What to print."""
    settings = served.settings
    scheme = "https" if settings.tls is not None else "http"
    base = f"{scheme}://{_reachable(served.data)}" if served.data else ""
    urls: tuple[tuple[str, str], ...] = ()
    if base:
        urls = (
            ("OpenAI SDK", f"OPENAI_BASE_URL={base}/v1"),
            ("any other route", f"{base}/PROVIDER/... passes through, PROVIDER one of the names below"),
        )
    facts = []
    if served.admin:
        facts.append(("admin, metrics", f"http://{_reachable(served.admin)}"))
    facts.append(("store", _store(served)))
    facts.append(("config", served.config or "built-in defaults (no file)"))
    facts.append(("workers", str(served.workers)))
    facts.append(("auth", settings.auth))
    return Banner(
        title=f"Trivet {version} is ready.",
        base_urls=urls,
        providers=tuple((name, whose_key(p)) for name, p in sorted(settings.providers.items())) if base else (),
        facts=tuple(facts),
        warnings=(*served.warnings, *_warnings(settings)),
    )


def whose_key(provider: ProviderSettings) -> str:
    """One sentence on the credential that calls of this provider carry."""
    own = "the gateway's own key" if provider.api_key != "client" else "the caller's own key, forwarded to it only"
    return f"{own} ({provider.base_url})"


def _store(served: Served) -> str:
    store = served.settings.store
    if store.redis == "embedded":
        return f"embedded server in {store.data_dir}/store (process {served.store_pid})"
    if store.sentinel is not None:
        return f"Sentinel {store.sentinel.master}"
    scheme, _, rest = store.redis.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _reachable(address: str) -> str:
    """An address a client on this machine can use: a wildcard is shown as localhost."""
    host, port = split_address(address)
    return join_address("localhost" if host in WILDCARDS else host, port)


def _warnings(settings: Settings) -> list[str]:
    found = []
    if settings.auth == "open":
        found.append("auth is `open`: everybody who reaches this port uses the providers' keys of this gateway.")
    return found
