"""What a model id promises, decided per vendor from the table, and which vendor a configured provider is.

Rule of the file: nothing is guessed from the look of an id. An id that no row of its vendor speaks of is `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.core.contract.release import PinClass
from gateway.core.pinning.table import UNKNOWN_VENDOR, PinTable

LONGEST = 512
"""Characters of an id that are looked at; a longer one is unknown, so a client cannot buy time with it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of an id, why, and the page and day that say so."""

    pin: PinClass
    why: str
    source: str
    date: str


def classify(table: PinTable, vendor: str, model: str) -> Verdict:
    """The class of `model` (the id without its provider) at a vendor. Never raises; a vendor without rows is `unknown`."""
    rows = table.rows(vendor)
    row = rows.find(model) if model and len(model) <= LONGEST else rows.rows[-1]
    return Verdict(row.pin, row.why, row.source, row.date)


NAMES = {
    "openai": "openai",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "google": "google",
    "gemini": "google",
    "vertex": "vertex",
    "vertexai": "vertex",
    "vertex-ai": "vertex",
    "azure": "azure",
    "azure-openai": "azure",
    "bedrock": "bedrock",
    "aws-bedrock": "bedrock",
    "openrouter": "openrouter",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "self-hosted": "self-hosted",
    "ollama": "self-hosted",
    "vllm": "self-hosted",
    "sglang": "self-hosted",
    "tgi": "self-hosted",
    "llamacpp": "self-hosted",
    "llama-cpp": "self-hosted",
    "lmstudio": "self-hosted",
    "local": "self-hosted",
}
"""Provider names, as people write them, to the vendor whose rows apply."""

HOSTS = (
    ("api.openai.com", "openai"),
    (".api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "google"),
    ("aiplatform.googleapis.com", "vertex"),
    ("-aiplatform.googleapis.com", "vertex"),
    (".openai.azure.com", "azure"),
    (".openai.azure.us", "azure"),
    (".services.ai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    (".models.ai.azure.com", "azure"),
    ("openrouter.ai", "openrouter"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", UNKNOWN_VENDOR),
    ("api.together.xyz", UNKNOWN_VENDOR),
    ("api.together.ai", UNKNOWN_VENDOR),
    ("api.fireworks.ai", UNKNOWN_VENDOR),
    ("api.x.ai", UNKNOWN_VENDOR),
    ("api.cerebras.ai", UNKNOWN_VENDOR),
    ("api.perplexity.ai", UNKNOWN_VENDOR),
    ("api.cohere.com", UNKNOWN_VENDOR),
    ("api.deepinfra.com", UNKNOWN_VENDOR),
    ("api.sambanova.ai", UNKNOWN_VENDOR),
    ("integrate.api.nvidia.com", UNKNOWN_VENDOR),
    ("router.huggingface.co", UNKNOWN_VENDOR),
    ("models.github.ai", UNKNOWN_VENDOR),
    ("api.moonshot.ai", UNKNOWN_VENDOR),
    (".aliyuncs.com", UNKNOWN_VENDOR),
)
"""Hosts to vendors; an entry that starts with a dot or dash is the end of a host name."""

LOCAL = ("localhost", "127.0.0.1", "::1", "host.docker.internal")
"""Hosts that only serve what somebody runs here."""


def vendor_of(provider: str, base_url: str = "", vendor: str = "") -> str:
    """The vendor whose rows apply to a provider: what the configuration says, else its host, else its name.

    A known host goes before the name, so a provider that is called `openai` and lives at OpenRouter is judged as OpenRouter;
    a host that tells nothing (a proxy, a mock) leaves it to the name. Loopback under a name of no vendor is `self-hosted`.
    """
    found = vendor or vendor_of_host(base_url) or NAMES.get(provider.lower(), "")
    return found or ("self-hosted" if is_local(base_url) else UNKNOWN_VENDOR)


def is_local(base_url: str) -> bool:
    """Whether a host only serves what somebody runs here."""
    return _host(base_url) in LOCAL


def vendor_of_host(base_url: str) -> str:
    """The vendor that a host belongs to; empty for one that tells nothing (a proxy, a mock, a machine of one's own)."""
    host = _host(base_url)
    for entry, known in HOSTS:
        if host == entry or (entry[0] in ".-" and host.endswith(entry)):
            return known
    if host.startswith(("bedrock-runtime", "bedrock-mantle")) and host.endswith(
        (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
    ):
        return "bedrock"
    return ""


def _host(base_url: str) -> str:
    """The host of a URL in lower case, empty when there is none; whether the URL is acceptable is decided elsewhere."""
    try:
        return urlsplit(base_url).hostname or ""
    except ValueError:
        return ""
