"""What LiteLLM's words mean here: prefixes of models, names of keys, and why a setting is not carried over.

Source: the public documentation of LiteLLM's proxy (config.yaml, config settings, routing, reliability), read 2026-11-23.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prefix:
    """What `litellm_params.model` begins with. An empty `url` means that `api_base` is needed."""

    provider: str
    url: str
    key: str
    """The environment variable that LiteLLM reads when no key is written."""
    vendor: str = ""
    """Said in the configuration where a host does not tell it."""
    dialect: str = "openai"


PREFIXES = {
    "openai": Prefix("openai", "https://api.openai.com", "OPENAI_API_KEY"),
    "text-completion-openai": Prefix("openai", "https://api.openai.com", "OPENAI_API_KEY"),
    "azure": Prefix("azure", "", "AZURE_API_KEY", "azure"),
    "azure_text": Prefix("azure", "", "AZURE_API_KEY", "azure"),
    "azure_ai": Prefix("azure-ai", "", "AZURE_AI_API_KEY", "azure"),
    "anthropic": Prefix("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", dialect="anthropic"),
    "gemini": Prefix("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", dialect="gemini"),
    "mistral": Prefix("mistral", "https://api.mistral.ai", "MISTRAL_API_KEY"),
    "codestral": Prefix("codestral", "https://codestral.mistral.ai", "CODESTRAL_API_KEY"),
    "deepseek": Prefix("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "openrouter": Prefix("openrouter", "https://openrouter.ai/api", "OPENROUTER_API_KEY"),
    "groq": Prefix("groq", "https://api.groq.com/openai", "GROQ_API_KEY"),
    "together_ai": Prefix("together", "https://api.together.xyz", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Prefix("fireworks", "https://api.fireworks.ai/inference", "FIREWORKS_AI_API_KEY"),
    "xai": Prefix("xai", "https://api.x.ai", "XAI_API_KEY"),
    "cerebras": Prefix("cerebras", "https://api.cerebras.ai", "CEREBRAS_API_KEY"),
    "perplexity": Prefix("perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "deepinfra": Prefix("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": Prefix("nvidia", "https://integrate.api.nvidia.com", "NVIDIA_NIM_API_KEY"),
    "sambanova": Prefix("sambanova", "https://api.sambanova.ai", "SAMBANOVA_API_KEY"),
    "moonshot": Prefix("moonshot", "https://api.moonshot.ai", "MOONSHOT_API_KEY"),
    "hosted_vllm": Prefix("vllm", "", "HOSTED_VLLM_API_KEY", "self-hosted"),
    "vllm": Prefix("vllm", "", "HOSTED_VLLM_API_KEY", "self-hosted"),
    "lm_studio": Prefix("lmstudio", "", "LM_STUDIO_API_KEY", "self-hosted"),
    "llamafile": Prefix("llamafile", "", "LLAMAFILE_API_KEY", "self-hosted"),
    "ollama": Prefix("ollama", "http://localhost:11434", "OLLAMA_API_KEY", "self-hosted"),
    "ollama_chat": Prefix("ollama", "http://localhost:11434", "OLLAMA_API_KEY", "self-hosted"),
    "litellm_proxy": Prefix("litellm", "", "LITELLM_PROXY_API_KEY"),
    "openai_like": Prefix("compatible", "", "OPENAI_LIKE_API_KEY"),
    "custom_openai": Prefix("compatible", "", "OPENAI_API_KEY"),
}

UNREACHED = {
    "vertex_ai": "Vertex AI wants a Google access token that expires, which no api_key is; the Gemini API takes a key",
    "vertex_ai_beta": "Vertex AI wants a Google access token that expires, which no api_key is",
    "bedrock": "Bedrock wants requests signed with AWS credentials, which Trivet does not do",
    "bedrock_converse": "Bedrock wants requests signed with AWS credentials, which Trivet does not do",
    "sagemaker": "SageMaker wants requests signed with AWS credentials, which Trivet does not do",
    "sagemaker_chat": "SageMaker wants requests signed with AWS credentials, which Trivet does not do",
}
"""Prefixes whose hosts Trivet cannot call. Any other unknown prefix has an API of its own, which is not translated."""

BARE = (("claude", "anthropic"), ("gemini", "vertex_ai"))
"""How LiteLLM reads a model without a prefix, by how it begins; else it is OpenAI's."""

FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks")

MODEL_MEMBERS = frozenset(
    [
        "model",
        "api_base",
        "base_url",
        "api_key",
        "api_version",
        "weight",
        "rpm",
        "tpm",
        "order",
        "timeout",
        "stream_timeout",
        "organization",
        "custom_llm_provider",
        "extra_headers",
        "headers",
        "max_retries",
        "num_retries",
    ]
)
"""Members of `litellm_params` that are read, or that have a reason below."""

REASONS = {
    "num_retries": "Trivet repeats within `retry.budget` only, and never an SDK's own repetition",
    "max_retries": "Trivet repeats within `retry.budget` only, and never an SDK's own repetition",
    "retry_policy": "Trivet repeats only what was refused or never sent, whatever the error",
    "model_group_retry_policy": "Trivet repeats only what was refused or never sent, whatever the error",
    "allowed_fails": "a breaker per endpoint and snapshot takes its place: `retry.breaker_failures`",
    "allowed_fails_policy": "a breaker per endpoint and snapshot takes its place: `retry.breaker_failures`",
    "cooldown_time": "a breaker takes its place: `retry.breaker_seconds`; a refusing endpoint rests as long as it says",
    "disable_cooldowns": "breakers are always there",
    "routing_strategy": "runs keep their endpoint by weight, so that the provider's prompt cache is of use",
    "routing_strategy_args": "runs keep their endpoint by weight, so that the provider's prompt cache is of use",
    "enable_pre_call_checks": "only endpoints that serve the release's snapshot are called",
    "drop_params": "nothing is dropped silently; name members in `params.drop` of a release",
    "modify_params": "requests are not translated",
    "cache": "answers are not cached",
    "cache_params": "answers are not cached",
    "cache_responses": "answers are not cached",
    "success_callback": "see metrics and the journal",
    "failure_callback": "see metrics and the journal",
    "callbacks": "see metrics and the journal",
    "service_callback": "see metrics and the journal",
    "set_verbose": "see `docs/metrics.md`",
    "json_logs": "logs are JSON already",
    "database_url": "keys stand in the configuration, as sha256; runs are in the store",
    "store_model_in_db": "models stand in the configuration, pointers in the store",
    "database_connection_pool_limit": "there is no database",
    "redis_host": "write `store.redis`",
    "redis_port": "write `store.redis`",
    "redis_password": "write `store.redis`",
    "redis_url": "write `store.redis`",
    "max_parallel_requests": "write `limits` of a key",
    "max_budget": "write `limits.usd_per_day` of a key or a tenant",
    "budget_duration": "spending is counted by the day",
    "alerting": "alert on the metrics; `deploy/prometheus` has rules",
    "custom_auth": "keys stand in the configuration, as sha256",
    "allowed_routes": "rights of a key say what it may call",
    "public_routes": "rights of a key say what it may call",
    "pass_through_endpoints": "every configured provider is passed through under `/NAME/`",
    "rpm": "a limit per deployment is the provider's to set; it was read as a weight. Keys and tenants have `limits`",
    "tpm": "a limit per deployment is the provider's to set; it was read as a weight. Keys and tenants have `limits`",
    "extra_headers": "headers may hold secrets; write `headers` of the provider or endpoint",
    "headers": "headers may hold secrets; write `headers` of the provider or endpoint",
    "tag_filtering": "write an alias per use",
    "tags": "write an alias per use",
    "default_team_settings": "write `tenants`",
    "mock_response": "`trivet demo` has a mock provider",
    "input_cost_per_token": "write `prices` of the provider",
    "output_cost_per_token": "write `prices` of the provider",
}
"""Settings that are known and not carried over, and what takes their place."""
OTHERWISE = "Trivet has no such setting"
