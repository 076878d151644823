"""Who can read the files that hold keys (faults.md I7), and which of the settings are keys.

A warning, not a refusal: whether other users of a machine matter is the operator's to say.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.settings.load import Config
from gateway.settings.model import Settings


def secrets(settings: Settings) -> list[str]:
    """Every secret in the settings, for redaction: keys, stamp keys, header values, passwords in store URLs."""
    found = [*settings.stamp_keys]
    for provider in settings.providers.values():
        found += [provider.api_key, provider.background_api_key, *provider.headers.values()]
        for endpoint in provider.endpoints:
            found += [endpoint.api_key, *endpoint.headers.values()]
    found += [webhook.secret for webhook in settings.webhooks]
    for url in (settings.store.redis, settings.store.shadow_redis):
        user = url.partition("://")[2].rpartition("@")[0]
        found.append(user.partition(":")[2] or user)
    return [each.strip() for each in found if each.strip() not in {"", "client"}]


def exposed_files(config: Config) -> Iterator[tuple[str, str, str]]:
    """A warning for each file with a key in it that every user of this machine may read."""
    written = [
        key for key, value in _written(config.settings) if value not in {"", "client"} and key not in config.referenced
    ]
    if written and _open_to_all(config.path):
        message = (
            "stands in a file that every user of this machine may read; take it from the environment "
            "(${NAME}), or chmod o-r the file"
        )
        yield "warning", written[0], message
    if config.settings.tls and _open_to_all(Path(config.settings.tls.key)):
        yield "warning", "tls.key", "is a file that every user of this machine may read; chmod o-r it"


def _written(settings: Settings) -> Iterator[tuple[str, str]]:
    for index, key in enumerate(settings.stamp_keys):
        yield f"stamp_keys[{index}]", key
    for name, provider in settings.providers.items():
        yield f"providers.{name}.api_key", provider.api_key
        yield f"providers.{name}.background_api_key", provider.background_api_key
        for index, endpoint in enumerate(provider.endpoints):
            yield f"providers.{name}.endpoints[{index}].api_key", endpoint.api_key
    for index, webhook in enumerate(settings.webhooks):
        yield f"webhooks[{index}].secret", webhook.secret
    if "@" in settings.store.redis:
        yield "store.redis", settings.store.redis


def _open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
