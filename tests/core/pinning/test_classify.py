"""Verdicts over real ids of every vendor, and which vendor a configured provider is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import ChatModel, EmbeddingModel

import gateway.data
from gateway.core.contract.release import PinClass
from gateway.core.pinning.classify import HOSTS, LONGEST, NAMES, classify, vendor_of
from gateway.core.pinning.table import parse

TABLE = parse((Path(gateway.data.__file__).parent / "pinning.toml").read_text())
P, F, N, U = PinClass.PINNED, PinClass.FLOATING, PinClass.UNPINNABLE, PinClass.UNKNOWN

IDS: dict[str, dict[PinClass, str]] = {
    "openai": {
        P: """gpt-4o-2024-05-13 gpt-4o-2024-08-06 gpt-4o-2024-11-20 gpt-4o-mini-2024-07-18 gpt-4.1-2025-04-14
            gpt-4.1-nano-2025-04-14 gpt-5-2025-08-07 gpt-5-pro-2025-10-06 gpt-5.2-pro-2025-12-11 gpt-5.4-2026-03-05
            gpt-5.5-2026-04-23 o1-2024-12-17 o3-2025-04-16 o4-mini-2025-04-16 o3-deep-research-2025-06-26 o1-mini-2024-09-12
            gpt-4-turbo-2024-04-09 gpt-4-0314 gpt-4-0613 gpt-4-32k-0613 gpt-4-0125-preview gpt-4-1106-preview
            gpt-3.5-turbo-0125 gpt-3.5-turbo-1106 gpt-3.5-turbo-16k-0613 gpt-4o-audio-preview-2025-06-03
            gpt-realtime-2025-08-28 gpt-audio-mini-2025-12-15 gpt-4o-mini-tts-2025-12-15 omni-moderation-2024-09-26
            sora-2-2025-12-08 gpt-image-1.5-2025-12-16 ft:gpt-4o-mini-2024-07-18:acme::A1b2C3d4 ft:gpt-4.1-nano-2025-04-14:acme:tickets:B9
            ft:gpt-4o-2024-08-06:org::C1:ckpt-step-100 ft:gpt-3.5-turbo-0613:acme::7p4lURel""",
        F: """gpt-4o gpt-4o-mini gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-5 gpt-5-mini gpt-5-nano gpt-5-pro gpt-5.1 gpt-5.2
            gpt-5.2-pro gpt-5.4-mini gpt-5.5 gpt-5.5-pro gpt-4 gpt-4-32k gpt-4-turbo gpt-4-turbo-preview gpt-4.5-preview
            gpt-3.5-turbo gpt-3.5-turbo-16k gpt-3.5-turbo-instruct o1 o1-pro o1-preview o3 o3-mini o3-pro o4-mini
            o4-mini-deep-research chatgpt-4o-latest gpt-5-chat-latest gpt-5.2-chat-latest chat-latest codex-mini-latest
            omni-moderation-latest text-moderation-latest text-moderation-stable gpt-4o-search-preview gpt-realtime
            gpt-audio-mini computer-use-preview sora-2-pro gpt-daybreak-red-latest gpt-image-2 gpt-image-1.5 gpt-5.6""",
        N: """gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gpt-6-astra gpt-6.1-sol gpt-6.2-astra-law gpt-6-cyber gpt-5-codex
            gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-codex-mini gpt-5.3-codex text-embedding-3-small text-embedding-3-large text-embedding-ada-002 whisper-1
            tts-1 tts-1-hd dall-e-3 gpt-image-1 gpt-image-1-mini gpt-4o-transcribe gpt-transcribe gpt-realtime-2.1
            gpt-audio-1.5 babbage-002""",
        U: """gpt-4o-2024-13-45 GPT-4o gpt-oss-120b davinci llama-3 ft:gpt-3.5-turbo:acme::123 ft:unheard-of:acme::1
            claude-opus-4-6 rel_0123456789abcdef gpt-4o-2024-8-6 2024-08-06 models/gpt-4o""",
    },
    "anthropic": {
        P: """claude-opus-4-6 claude-sonnet-4-6 claude-opus-4-7 claude-opus-4-8 claude-sonnet-5 claude-opus-5 claude-fable-5
            claude-mythos-5 claude-opus-5-5 claude-haiku-5-5 claude-opus-4-10 claude-sonnet-10 claude-opus-4-5-20251101
            claude-haiku-4-5-20251001 claude-opus-4-1-20250805 claude-opus-4-20250514 claude-3-7-sonnet-20250219
            claude-3-5-sonnet-20240620 claude-3-5-haiku-20241022 claude-3-opus-20240229 claude-3-haiku-20240307
            claude-sonnet-5-20260630""",
        F: """claude-opus-4-5 claude-sonnet-4-5 claude-haiku-4-5 claude-opus-4-1 claude-opus-4-0 claude-sonnet-4-0
            claude-sonnet-4 claude-3-7-sonnet-latest claude-3-5-sonnet-latest claude-3-opus-latest claude-3-haiku
            claude-opus-5-latest""",
        U: """claude-mythos-preview claude-2.1 claude-instant-1.2 opus claude-opus claude-opus-4.6 anthropic/claude-opus-4-6
            claude-opus-4-6-v1 claude-opus-5-5-5 claude-opus-4-20251332 gpt-4o-2024-08-06""",
    },
    "google": {
        P: """gemini-2.0-flash-001 gemini-2.0-flash-lite-001 gemini-1.5-pro-001 gemini-1.5-pro-002 gemini-1.5-flash-8b-001
            gemini-2.5-pro gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-flash-image gemini-3.5-flash gemini-3.6-flash
            gemini-3.1-flash-lite gemini-3.8-live gemini-embedding-001 text-embedding-004 imagen-4.0-generate-001
            models/gemini-2.5-flash models/gemini-2.0-flash-001 veo-3.0-generate-001""",
        F: """gemini-2.0-flash gemini-2.0-flash-lite gemini-1.5-pro gemini-1.5-flash gemini-1.0-pro gemini-flash-latest
            gemini-flash-lite-latest gemini-pro-latest gemini-1.5-flash-latest gemini-2.5-pro-latest gemini-2.5-pro-preview-03-25
            gemini-2.5-flash-preview-09-2025 gemini-3-pro-preview gemini-3-flash-preview gemini-2.0-flash-exp
            gemini-2.5-flash-native-audio-preview-12-2025 models/gemini-2.0-flash veo-3.0-generate-preview""",
        U: "gemini-pro gemini-ultra gemma-3-27b-it tunedModels/x-1 aqa gemini gemini-99 chat-bison-001",
    },
    "vertex": {
        P: """gemini-2.0-flash-001 gemini-2.5-pro google/gemini-2.5-flash claude-sonnet-4-5@20250929 claude-opus-4-6
            claude-3-5-sonnet-v2@20241022 publishers/google/models/gemini-1.5-pro-002 mistral-large-2411 mistral-large-2411@001
            text-embedding-005""",
        F: """gemini-2.0-flash google/gemini-1.5-flash claude-sonnet-4-5 claude-3-haiku claude-sonnet-4-5@default
            claude-opus-4@latest gemini-3-pro-preview gemini-flash-latest""",
        U: "mistral-medium-3 meta/llama-4-scout-17b-16e-instruct-maas endpoints/42 4242424242 gpt-4o-2024-08-06",
    },
    "azure": {U: "gpt-4o gpt-4o-2024-08-06 prod my-deployment claude-opus-4-6 gpt-5-chat-latest"},
    "bedrock": {
        P: """anthropic.claude-sonnet-4-5-20250929-v1:0 us.anthropic.claude-sonnet-4-5-20250929-v1:0
            global.anthropic.claude-opus-4-6-v1 anthropic.claude-sonnet-4-6 eu.anthropic.claude-opus-5 anthropic.claude-v2:1
            amazon.nova-lite-v1:0 us.amazon.nova-premier-v1:0 amazon.nova-pro-v1:0:24k amazon.titan-embed-text-v2:0
            meta.llama3-1-405b-instruct-v1:0 us.meta.llama4-maverick-17b-instruct-v1:0 mistral.mistral-large-2402-v1:0
            cohere.command-r-plus-v1:0 ai21.jamba-1-5-large-v1:0 deepseek.r1-v1:0 qwen.qwen3-32b-v1:0 openai.gpt-oss-120b-1:0
            arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0
            arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-6-v1""",
        U: """anthropic.claude-sonnet-4-5 amazon.titan-tg1-large claude-opus-4-6 gpt-4o mistral.mistral-large-3-675b-instruct
            arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x1
            arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x1""",
    },
    "openrouter": {
        P: """openai/gpt-4o-2024-08-06 openai/gpt-4o-mini-2024-07-18 openai/o3-mini-2025-01-31
            anthropic/claude-4.5-sonnet-20250929 anthropic/claude-opus-5-20260723""",
        F: """openai/gpt-4o anthropic/claude-sonnet-4.5 anthropic/claude-opus-4.6 google/gemini-2.5-pro openrouter/auto
            ~anthropic/claude-opus-latest deepseek/deepseek-chat-v3-0324 deepseek/deepseek-r1:free openai/gpt-5.2:nitro
            meta-llama/llama-3.3-70b-instruct mistralai/mistral-large-2411 openai/gpt-4o-2024-08-06:floor""",
        U: "gpt-4o-2024-08-06 @preset/x a/b/c",
    },
    "mistral": {
        P: """mistral-large-2411 mistral-large-2407 mistral-small-2503 mistral-medium-2508 codestral-2501 ministral-3b-2410
            pixtral-large-2411 magistral-small-2507 devstral-medium-2507 open-mistral-nemo-2407 mistral-ocr-2505
            mistral-embed-2312 mistral-medium-3-5-26-04 ft:open-mistral-7b:daf5e488:20240412:c1bed559""",
        F: """mistral-large-latest mistral-small-latest mistral-medium-latest codestral-latest ministral-8b-latest mistral-large
            mistral-small mistral-tiny mistral-medium-3 mistral-embed codestral open-mistral-nemo labs-devstral-small-2512""",
        N: "open-mistral-7b open-mixtral-8x7b open-mixtral-8x22b",
        U: "mistral-medium-3.5 mistral-large-2499 ag:1:2:3 gpt-4o-2024-08-06 ft:open-mistral-7b",
    },
    "deepseek": {
        F: "deepseek-chat deepseek-reasoner deepseek-coder deepseek-flash deepseek-v4-flash deepseek-v4-pro",
        U: "deepseek-v9 deepseek gpt-4o-2024-08-06",
    },
    "self-hosted": {
        P: f"llama3.2:3b@sha256:{'0a' * 32} registry.local/team/model@sha256:{'ff' * 32} Qwen/Qwen2.5-7B-Instruct@{'b' * 40}",
        F: "llama3.2:latest qwen2.5-coder:latest org/model@main support-latest",
        U: f"llama3.2 llama3.2:3b mistral-7b-instruct-v0.3.Q4_K_M.gguf gpt-4o-2024-08-06 x@sha256:{'0' * 63} org/model@v1.2",
    },
    "unknown": {
        F: "grok-4-latest model:latest auto vendor/model-latest vendor/model@latest",
        U: """grok-4-0709 llama-3.3-70b-versatile moonshotai/kimi-k2-instruct-0905 gpt-4o gpt-4o-2024-08-06 claude-opus-4-6
            accounts/fireworks/models/deepseek-v3 sonar-pro latest""",
    },
}
CASES = [(v, m, pin) for v, by in IDS.items() for pin, text in by.items() for m in text.split()]


def test_there_are_enough_real_ids() -> None:
    """The verdicts below rest on hundreds of ids, and no id is listed twice for a vendor."""
    assert len(CASES) > 300
    assert len({(vendor, model) for vendor, model, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("vendor", "model", "pin"), CASES, ids=[f"{v}-{m}" for v, m, _ in CASES])
def test_class_of_a_real_id(vendor: str, model: str, pin: PinClass) -> None:
    """Each id has the class that its vendor's documentation gives it."""
    verdict = classify(TABLE, vendor, model)
    assert verdict.pin is pin, verdict


def test_a_date_is_not_the_test() -> None:
    """The same dated id is pinned where the vendor dates its snapshots and unknown where it does not; a dateless Claude is pinned."""
    verdicts = {
        vendor: classify(TABLE, vendor, "gpt-4o-2024-08-06").pin
        for vendor in ("openai", "azure", "self-hosted", "unknown")
    }
    assert verdicts == {"openai": P, "azure": U, "self-hosted": U, "unknown": U}
    assert classify(TABLE, "anthropic", "claude-opus-4-6").pin is P
    assert classify(TABLE, "anthropic", "claude-opus-4-5").pin is F


@pytest.mark.parametrize("model", [*get_args(ChatModel), *get_args(EmbeddingModel)])
def test_every_model_of_the_official_sdk_has_a_class(model: str) -> None:
    """No id in the model lists of the openai package is unknown, and of those only dated ones are pinned."""
    verdict = classify(TABLE, "openai", model)
    assert verdict.pin is not U
    assert (verdict.pin is P) == _dated(model)


def _dated(model: str) -> bool:
    """Whether an OpenAI id carries year, month and day, or the early month and day."""
    parts = model.removesuffix("-preview").split("-")
    return (len(parts[-1]) == 4 and parts[-1].isdigit()) or (
        len(parts) > 3 and parts[-3].startswith("20") and len(parts[-3]) == 4
    )


def test_a_verdict_says_why_and_whence() -> None:
    """A verdict carries the reason, the page and the day for the person who asks."""
    verdict = classify(TABLE, "anthropic", "claude-sonnet-4-6")
    assert "4.6" in verdict.why
    assert verdict.source == "https://platform.claude.com/docs/en/about-claude/models/model-ids-and-versions"
    assert verdict.date >= "2026-11-23"


def test_an_empty_or_endless_id_is_unknown() -> None:
    """Nothing, and more than the length that is looked at, are unknown."""
    assert classify(TABLE, "unknown", "").pin is U
    assert classify(TABLE, "unknown", "a" * LONGEST).pin is U
    assert classify(TABLE, "unknown", "a" * (LONGEST - 7) + "-latest").pin is F
    assert classify(TABLE, "unknown", "a" * (LONGEST - 6) + "-latest").pin is U


@given(st.sampled_from(sorted(IDS)), st.text(max_size=600))
def test_any_text_has_a_class(vendor: str, model: str) -> None:
    """Whatever a client writes as a model is judged without an error."""
    assert classify(TABLE, vendor, model).pin in set(PinClass)


@pytest.mark.parametrize(
    ("provider", "url", "stated", "vendor"),
    [
        ("openai", "https://api.openai.com", "", "openai"),
        ("eu", "https://eu.api.openai.com/v1", "", "openai"),
        ("claude", "https://api.anthropic.com", "", "anthropic"),
        ("gemini", "https://generativelanguage.googleapis.com", "", "google"),
        ("gcp", "https://us-central1-aiplatform.googleapis.com/v1/projects/p", "", "vertex"),
        ("gcp", "https://aiplatform.googleapis.com", "", "vertex"),
        ("openai", "https://acme.openai.azure.com/openai", "", "azure"),
        ("foundry", "https://acme.services.ai.azure.com/models", "", "azure"),
        ("aws", "https://bedrock-runtime.us-east-1.amazonaws.com", "", "bedrock"),
        ("aws", "https://bedrock-mantle.eu-west-1.api.aws/v1", "", "bedrock"),
        ("other", "https://s3.us-east-1.amazonaws.com", "", "unknown"),
        ("other", "https://bedrock-runtime.example.com", "", "unknown"),
        ("openai", "https://openrouter.ai/api/v1", "", "openrouter"),
        ("fr", "https://api.mistral.ai/v1", "", "mistral"),
        ("ds", "https://api.deepseek.com", "", "deepseek"),
        ("groq", "https://api.groq.com/openai/v1", "", "unknown"),
        ("openai", "https://api.groq.com/openai/v1", "", "unknown"),
        ("openai", "http://127.0.0.1:9000", "", "openai"),
        ("OpenAI", "https://llm-proxy.corp.example", "", "openai"),
        ("mock", "http://127.0.0.1:9000/v1", "", "self-hosted"),
        ("mock", "http://[::1]:9000", "", "self-hosted"),
        ("vllm", "https://gpu.corp.example", "", "self-hosted"),
        ("ollama", "", "", "self-hosted"),
        ("acme", "https://llm.acme.example", "", "unknown"),
        ("acme", "", "", "unknown"),
        ("acme", "https://[oops", "", "unknown"),
        ("acme", "https://api.openai.com.evil.example", "", "unknown"),
        ("acme", "https://evil-api.openai.com.example", "", "unknown"),
        ("acme", "https://llm.acme.example", "anthropic", "anthropic"),
        ("openai", "https://api.openai.com", "azure", "azure"),
    ],
)
def test_vendor_of_a_provider(provider: str, url: str, stated: str, vendor: str) -> None:
    """What the configuration says goes first, then a known host, then the provider's name; loopback is self-hosted."""
    assert vendor_of(provider, url, stated) == vendor


def test_names_and_hosts_lead_to_rows() -> None:
    """Every vendor that a name or a host leads to has rows of its own in the table."""
    assert {*NAMES.values(), *(vendor for _, vendor in HOSTS)} <= set(TABLE.vendors)
