"""The configuration in force as it may be shown: choices and counts, never a key, a header value or a password."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.core.contract.records import Record
from gateway.settings.load import Config


class ConfigView(Record, frozen=True):
    """Answer of `config show`."""

    version: str
    """First 12 hex digits of the sha256 of the file: the same on every host with the same file."""
    file: str
    listen: str
    admin: str
    auth: str
    unmanaged: str
    workers: int
    store: str
    data_dir: str
    keys: int
    admin_tokens: tuple[str, ...]
    """Names and rights."""
    stamp_keys: int
    providers: dict[str, str]
    """Addresses that are called, and whose key its calls carry."""
    aliases: dict[str, str]
    """Stakes and first release."""


def config_view(config: Config) -> ConfigView:
    """What may be shown of a configuration."""
    settings = config.settings
    return ConfigView(
        version=config.version,
        file=str(config.path),
        listen=settings.listen,
        admin=settings.admin.listen,
        auth=settings.auth,
        unmanaged=settings.unmanaged,
        workers=settings.serve.workers,
        store=bare(settings.store.redis),
        data_dir=settings.store.data_dir,
        keys=len(settings.keys),
        admin_tokens=tuple(f"{t.name} ({' '.join(t.rights)})" for t in settings.admin.tokens),
        stamp_keys=len(settings.stamp_keys),
        providers={
            name: f"{', '.join(bare(e.url) for e in p.endpoints) or bare(p.base_url)} with {'the key of the caller' if p.api_key == 'client' else 'a key of the gateway'}"
            for name, p in settings.providers.items()
        },
        aliases={
            name: f"{alias.stakes.value}, first release {alias.first_release.model}"
            for name, alias in settings.aliases.items()
        },
    )


def bare(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
