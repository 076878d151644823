"""What the configuration file may say, as frozen values. A member that is not here is an error with file, line and key.

Durations and money are read to plain numbers (seconds, USD) by `settings.units` before they reach these types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from gateway.core.contract.alias import SideEffects, Stakes
from gateway.core.contract.release import Mode

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[float, msgspec.Meta(ge=0, extra={"unit": "seconds"}, extra_json_schema={"x-unit": "seconds"})]
"""A duration; the file may say `72h`."""
Bytes = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "bytes"}, extra_json_schema={"x-unit": "bytes"})]
"""A size; the file may say `64MiB`."""
UsdPerDay = Annotated[
    float, msgspec.Meta(ge=0, extra={"unit": "usd_per_day"}, extra_json_schema={"x-unit": "usd_per_day"})
]
"""Money over time; the file may say `5 USD/day`."""
UsdPerHour = Annotated[
    float, msgspec.Meta(ge=0, extra={"unit": "usd_per_hour"}, extra_json_schema={"x-unit": "usd_per_hour"})
]
"""Money over time; the file may say `5 USD/h`."""
UsdOnce = Annotated[float, msgspec.Meta(ge=0, extra={"unit": "usd"}, extra_json_schema={"x-unit": "usd"})]
"""Money; the file may say `5 USD`."""
Points = Annotated[float, msgspec.Meta(ge=0, le=1, extra={"unit": "points"}, extra_json_schema={"x-unit": "points"})]
"""A share; the file may say `5pp`."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Capture = Literal["none", "metrics", "hashes", "redacted", "full"]
"""What is kept of the contents of a shadow's pairs, from the least to the most (`shadow.redact`)."""
Usd = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]

BUILTIN = "builtin/"
"""What the name of a suite begins with that ships with the gateway."""
EXTERNAL = "external/"
"""What the name of a suite begins with that another engine runs: its evidence is imported."""
RIGHTS = ("pass-through", "provider-state", "learn", "pin-release")
"""Rights of a data-port key."""
SECRET = frozenset({"api_key", "background_api_key", "stamp_keys", "redis", "shadow_redis", "headers", "secret"})
"""Members that may hold a secret: never shown, and best taken from the environment."""
ADMIN_RIGHTS = ("read", "content", "rollback", "rollout", "release")
"""Rights of an admin token."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every settings type. Its repr shows no member that may hold a secret."""

    def __repr__(self) -> str:
        pairs = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = ", ".join(f"{name}=..." if name in SECRET else f"{name}={value!r}" for name, value in pairs)
        return f"{type(self).__name__}({shown})"


class TlsSettings(Model, frozen=True):
    """Certificate of a listener: PEM files."""

    certificate: str
    key: str


class AdminToken(Model, frozen=True):
    """A named token of the admin port; only its sha256 is kept."""

    name: Name
    sha256: Sha256
    rights: tuple[Literal["read", "content", "rollback", "rollout", "release"], ...] = ("read",)


class AdminSettings(Model, frozen=True):
    """The admin port."""

    listen: str = "127.0.0.1:8081"
    metrics: Literal["open", "token"] = "open"
    tokens: tuple[AdminToken, ...] = ()


class SentinelSettings(Model, frozen=True):
    """Redis Sentinel: `host:port` of each sentinel and the name of the primary."""

    master: str
    nodes: tuple[str, ...]


class StoreSettings(Model, frozen=True):
    """Where stamps, pointers and the journal live."""

    redis: str = "embedded"
    """`embedded`, or redis://, rediss:// or unix:// with user, password and database in the URL."""
    shadow_redis: str = ""
    data_dir: str = ".trivet"
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")] = "trivet"
    ca_file: str = ""
    sentinel: SentinelSettings | None = None
    assume: Literal["", "durable"] = ""
    """`durable` says that the server is persistent and noeviction where it will not tell."""
    journal_ttl: Seconds = 30 * 86400.0
    steps_kept: Positive = 100_000
    """Entries kept in the capped `steps` stream of an alias."""
    log_bytes: Bytes = 128 << 20
    """Bytes of host log kept on this host; each worker keeps an index of 4 percent of it in memory."""


class RunSettings(Model, frozen=True):
    """How long a run keeps its triple, and where its id is read from, in order."""

    ttl: Seconds = 72 * 3600.0
    max_age: Seconds = 30 * 86400.0
    sources: tuple[str, ...] = ("x-trivet-run", "state", "tool_calls")
    """Header names, `state`, `tool_calls`, or `metadata.KEY` of the body."""


class LimitSettings(Model, frozen=True):
    """Limits of a key or a tenant; 0 is none. Days are UTC days."""

    requests_per_minute: Count = 0
    tokens_per_minute: Count = 0
    concurrent_runs: Count = 0
    usd_per_day: UsdPerDay = 0.0


class TenantSettings(Model, frozen=True):
    """What holds for all keys of a tenant together."""

    limits: LimitSettings = LimitSettings()
    allow: tuple[str, ...] = ()
    """Names its keys may ask for, as `allow` of a key."""
    capture: Capture | None = None
    """In place of the `capture` of everybody."""


class KeySettings(Model, frozen=True):
    """A data-port key; only its sha256 is kept."""

    sha256: Sha256
    tenant: Name
    segment: str = ""
    rights: tuple[Literal["pass-through", "provider-state", "learn", "pin-release"], ...] = ()
    aliases: dict[str, str] = {}
    """Model name as sent by this key's agents, to alias."""
    allow: tuple[str, ...] = ()
    """Aliases and model names that the key may ask for, `*` in them stands for anything; empty allows all."""
    limits: LimitSettings = LimitSettings()


class TimeoutSettings(Model, frozen=True):
    """Limits of a provider call, seconds. 0 means none."""

    connect: Seconds = 5.0
    first_byte: Seconds = 300.0
    between_chunks: Seconds = 120.0
    total: Seconds = 0.0


class EndpointSettings(Model, frozen=True):
    """One host that serves the same snapshots. What it does not say itself it has from its provider, as far as that is
    meant for it: a host of another vendor gets neither key nor headers, and the caller's own key stays with the host of
    `base_url`."""

    url: str
    models: dict[str, str] = {}
    """Snapshot to the name this host knows it by. Without it the host serves every model under its own name, with it
    only those that it names."""
    weight: Count = 1
    """Share of the runs; 0 is a standby, which is called when no other endpoint can be."""
    api_key: str = ""
    """By default the provider's own."""
    vendor: str = ""
    """By default what its host tells, else the provider's."""
    dialects: tuple[str, ...] = ()
    """By default the provider's, or what the vendor speaks."""
    auth_header: str = ""
    api_version: str = ""
    """Azure's `api-version` of the deployments path; empty uses the path without versions. By default the provider's own."""
    headers: dict[str, str] = {}
    """Put on every call to this host; by default the provider's."""


class PriceSettings(Model, frozen=True):
    """What a model costs, in US dollars per million tokens. Prices of the cache are by default the input's."""

    input: Usd
    output: Usd
    cached: Usd | None = None
    """Input read from the provider's cache."""
    written: Usd | None = None
    """Input written to the provider's cache."""
    written_hour: Usd | None = None
    """The same, kept for an hour; by default as `written`."""


class ProviderSettings(Model, frozen=True):
    """A model provider."""

    base_url: str
    api_key: str = "client"
    """The provider's key, or the word `client` to forward the caller's own credential, to this provider only."""
    background_api_key: str = ""
    vendor: str = ""
    """Which row set of the pinning table applies; by default the provider's name, or what its host tells."""
    dialects: tuple[str, ...] = ()
    auth_header: str = ""
    """Header the key goes in: `authorization` (as Bearer), `api-key`, `x-api-key` or `x-goog-api-key`; by default what the vendor reads."""
    api_version: str = ""
    """Azure's `api-version` for requests that bring none; empty uses `/openai/v1`, which needs none."""
    allow_private: bool = False
    """Allows http:// and private or loopback addresses, by name of this provider."""
    ca_file: str = ""
    timeouts: TimeoutSettings = TimeoutSettings()
    endpoints: tuple[EndpointSettings, ...] = ()
    headers: dict[str, str] = {}
    connections: Positive = 256
    prices: dict[str, PriceSettings] = {}
    """Prices by model id as this provider is called, `*` in them stands for anything; before those of the list."""


class LegSettings(Model, frozen=True):
    """A prompt or toolset of a first release."""

    file: str
    mode: Mode = Mode.SERVE
    label: str = ""


class ParamSettings(Model, frozen=True):
    """Members to set, drop or rename."""

    set: dict[str, Any] = {}
    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class ReleaseSettings(Model, frozen=True):
    """The release an alias starts with."""

    model: str
    prompt: LegSettings | None = None
    tools: LegSettings | None = None
    params: ParamSettings = ParamSettings()


class ShadowDeclared(Model, frozen=True):
    """A candidate that runs beside an alias from its first release on; from then on shadows are data, as the pointer is."""

    release: ReleaseSettings
    rate: Share = 0.1
    """Share of the runs."""
    secondary: Share | None = None
    """In place of `shadow.secondary`."""
    acknowledge: bool = False
    """Answers for what needs an answer: every run shadowed, contents kept readable, no budget."""


class MarginSettings(Model, frozen=True):
    """How much smaller a candidate's share of passed items may be than the incumbent's."""

    task: Points = 0.05
    safety: Points = 0.02


class CeilingSettings(Model, frozen=True):
    """Largest share of items that a candidate may fail, whatever the incumbent does."""

    safety: Points = 0.05


class RepeatSettings(Model, frozen=True):
    """How often each item is asked of each release."""

    task: Positive = 1
    regression: Positive = 5
    safety: Positive = 1


class GateSettings(Model, frozen=True):
    """The eval gate of an alias: what must come out well before a candidate is promoted. A suite is a file, relative to the
    configuration, `builtin/NAME@VERSION`, or `external/NAME@VERSION` for one that another engine runs."""

    task: str = ""
    regression: str = ""
    safety: str = ""
    margins: MarginSettings = MarginSettings()
    ceilings: CeilingSettings = CeilingSettings()
    repeats: RepeatSettings = RepeatSettings()
    allowance: Count = 0
    """Confirmed regressions that are tolerated."""
    unscored: Points = 0.02
    """Share of answers that may be without a score."""
    judge: str = ""
    """Release that answers the rubrics of a suite."""
    max_age: Seconds = 14 * 86400.0
    """Age at which evidence no longer counts."""
    budget: UsdOnce = 5.0
    """USD that one run of the gate may cost; 0 is no limit."""
    dialect: Literal["", "openai", "responses", "anthropic", "gemini"] = ""
    """What releases are asked in; by default what their provider speaks first."""
    request: dict[str, Any] = {}
    """Members of every request besides an item's own, such as `temperature` or prompt variables."""
    concurrency: Positive = 4
    """Calls at the same time."""


class ProbeDeclared(Model, frozen=True):
    """The prompts by which a change of behaviour behind the stable release of an alias is noticed."""

    prompts: str
    """A JSONL file, relative to the configuration: a text, or an object with `prompt` or `messages`, a line."""
    samples: Annotated[int, msgspec.Meta(ge=2, le=100)] = 10
    """Answers to each prompt in a window."""
    tokens: Positive = 50
    """Bound of an answer."""
    every: Seconds = 86400.0
    """From one window to the next; 0 begins none by itself."""


class AliasSettings(Model, frozen=True):
    """An alias and its stakes. The pointer is data: `first_release` only creates an alias nobody knows yet."""

    first_release: ReleaseSettings
    stakes: Stakes = Stakes.STANDARD
    side_effects: SideEffects = SideEffects.UNSTATED
    allow_floating: str = ""
    """The reason why a release of this alias may float (stakes `standard` only)."""
    strict: bool = False
    """Refuse new runs while another model answers for the release's snapshot than the pinned one."""
    warm: Count = 3
    shadow: tuple[ShadowDeclared, ...] = ()
    """Candidates that run alongside when the alias is made."""
    gate: GateSettings | None = None
    probes: ProbeDeclared | None = None


class ServeSettings(Model, frozen=True):
    """Processes and limits of the data port."""

    workers: Positive = 1
    drain: Seconds = 30.0
    """Seconds that streams in flight get after SIGTERM."""
    notice: Seconds = 0.25
    """Seconds between readiness turning red and the listener closing, for a load balancer to look away first."""
    body_bytes: Bytes = 64 << 20
    upload_bytes: Bytes = 1 << 30
    head_timeout: Seconds = 10.0
    body_timeout: Seconds = 60.0
    idle_timeout: Seconds = 75.0
    write_timeout: Seconds = 60.0
    event_bytes: Bytes = 8 << 20
    """Largest single event of a stream."""
    heartbeat: Seconds = 0.0
    """Seconds of silence after which a comment is sent into a stream that has begun; 0 is off."""


class ShadowSettings(Model, frozen=True):
    """Candidates that run alongside. Every limit holds for a store, whatever number of workers."""

    budget: UsdPerHour = 5.0
    """USD that candidates and secondaries may cost in an hour; 0 is no limit."""
    secondary: Share = 0.2
    """Share of pairs for which the live release is asked a second time, to know its own noise."""
    ttl: Seconds = 7 * 86400.0
    """How long the contents of a pair are kept."""
    providers: tuple[str, ...] = ()
    """Providers that may be sent traffic which is live at another one."""
    slots: Positive = 8
    """Calls at the same time."""
    timeout: Seconds = 300.0
    """Longest call."""
    queue: Positive = 10_000
    """Jobs that may wait in the store; above it live workers drop what they capture, and count it."""
    store_bytes: Bytes = 1 << 30
    """What waiting jobs may take in the store, about: one is taken while as many of its size as wait stay below."""
    job_bytes: Bytes = 1 << 20
    """Largest request and answer together that are captured."""
    queue_bytes: Bytes = 16 << 20
    """Bytes that a live worker holds of what it captured and the store has not taken yet."""
    priority: Literal["idle", "normal"] = "idle"
    """`idle` takes only the CPU that nobody else on the host wants; `normal` the same share as anybody, from the next start on."""
    attempts: Positive = 3
    """Deliveries of a job after which it becomes a dead letter."""
    redact: tuple[str, ...] = ()
    """Regular expressions of what `capture: redacted` takes out besides its own patterns."""


class UndeclaredSettings(Model, frozen=True):
    """How prompts and toolsets that no release declares are found."""

    learn: Literal["templates", "off"] = "templates"
    """`templates` learns from what is sent; `off` looks at nothing and keeps nothing."""
    baseline_runs: Positive = 20
    """Runs in a row that bring nothing new after which the baseline of a release whose legs are as-sent is closed."""
    baseline_time: Seconds = 300.0
    """How long it is open at least."""


class ProbeSettings(Model, frozen=True):
    """Calls that the gateway makes by itself, to know whether releases can be called and behave as they did."""

    budget: UsdPerDay = 1.0
    """USD that all of them may cost in a UTC day; 0 is no limit."""
    calls: Count = 2000
    """All of them in a UTC day: what holds where no price is known. 0 asks nobody."""
    warm_every: Seconds = 6 * 3600.0
    """Age at which a proof that a release can be called no longer counts; 0 proves by traffic alone, which counts for 6h."""


class WebhookSettings(Model, frozen=True):
    """Who is told of transitions: one POST each, signed, repeated until it is taken."""

    name: Name
    url: str
    secret: str
    """What messages are signed with: `whsec_` and base64 of 24 to 64 random bytes."""
    allow_private: bool = False
    """Allows http:// and private or loopback addresses."""
    aliases: tuple[str, ...] = ()
    """Whose transitions, `*` in a name stands for anything; empty is all."""
    actions: tuple[str, ...] = ()
    """Which actions of the history; empty is every one that changes who gets what."""
    give_up: Seconds = 3 * 86400.0
    """How long one message is tried."""


class RetrySettings(Model, frozen=True):
    """Retries of the gateway itself, inside one release."""

    budget: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    """Share of live requests of the last 10 seconds that may be retries."""
    minimum: Count = 3
    wait_limit: Seconds = 2.0
    """Longest `retry-after` in seconds that the gateway waits out itself."""
    breaker_failures: Positive = 5
    breaker_seconds: Seconds = 10.0


class Settings(Model, frozen=True):
    """The whole file."""

    listen: str = "127.0.0.1:8080"
    auth: Literal["none", "keys", "open"] = "none"
    tls: TlsSettings | None = None
    admin: AdminSettings = AdminSettings()
    store: StoreSettings = StoreSettings()
    stamp_keys: tuple[str, ...] = ()
    runs: RunSettings = RunSettings()
    keys: tuple[KeySettings, ...] = ()
    tenants: dict[Name, TenantSettings] = {}
    """Limits of tenants; a tenant without an entry has those of its keys only."""
    segments: dict[Name, tuple[Name, ...]] = {}
    """Named groups of tenants; the `segment` of a key is the same thing said from the other end."""
    providers: dict[Name, ProviderSettings] = {}
    default_provider: dict[str, str] = {}
    """Provider per dialect for paths that name no alias; by default the vendor of the dialect."""
    unmanaged: Literal["refuse", "learn", "pass"] = "learn"
    aliases: dict[Name, AliasSettings] = {}
    serve: ServeSettings = ServeSettings()
    retry: RetrySettings = RetrySettings()
    undeclared: UndeclaredSettings = UndeclaredSettings()
    capture: Capture = "none"
    """What is kept of the contents of pairs; a tenant may have a word of its own, a request's header may only lower it."""
    shadow: ShadowSettings = ShadowSettings()
    probes: ProbeSettings = ProbeSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
