"""How each contestant is configured and started. All of them relay POST /v1/chat/completions to the mock, one worker or thread each.

Every one is given what is usual for it: keep-alive on both sides, no access log, the upstream's credential put in, a header put on the answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import build

ROOT = Path(__file__).resolve().parents[1]
ALIAS = "gpt-4o"
SNAPSHOT = "openai/gpt-4o-2024-08-06"


@dataclass(frozen=True)
class Place:
    """Where a contestant lives during a bench."""

    folder: Path
    port: int
    admin: int
    upstream: int
    redis: int
    tenants: int
    mirror: int = 0
    """Port that gets a copy of every request; 0 for none."""


@dataclass(frozen=True)
class Launch:
    """A command line and what its environment adds."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contestant:
    """One row of the results."""

    name: str
    what: str
    launch: Callable[[Place], Launch]
    low_rate: int = 200
    """Requests a second of the latency scenario: well below what the contestant can do on one core."""
    conns: int = 64
    """Most connections it is loaded with. Nothing is measured when no request comes back within the slice."""
    require: str = ""
    """A header without which an answer counts as an error."""


def key_of(tenant: int) -> str:
    """The data-port key of a tenant, as the load generator sends it."""
    return f"sk-bench-tenant-{tenant:04d}"


NGINX = """
worker_processes 1; pid {d}/nginx.pid; error_log {d}/error.log crit; daemon off; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_buffer_size 256k; client_max_body_size 64m; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
  {second}
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h; }}
  server {{ listen 127.0.0.1:{port} backlog=1024;
    {copies}
    location / {{ {copy}
      proxy_pass http://up; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s;
      proxy_set_header Connection ""; proxy_set_header Host api.example.com; proxy_set_header Authorization "Bearer bench-upstream";
      add_header x-release-id "rel-7"; add_header x-run-id $request_id;
    }}
  }}
}}
"""


MIRROR = {
    "second": "upstream second {{ server 127.0.0.1:{mirror}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h; }}",
    "copies": "location = /copy {{ internal; proxy_pass http://second$request_uri; proxy_http_version 1.1;"
    ' proxy_set_header Connection ""; proxy_set_header Host api.example.com; proxy_set_header Authorization "Bearer bench-upstream"; }}',
    "copy": "mirror /copy; mirror_request_body on;",
}
"""What nginx needs to send a copy of every request elsewhere; it throws the answers away."""


def nginx(place: Place) -> Launch:
    """Debian's nginx as reverse proxy, with a mirror where the place names one."""
    user = "user root;" if os.geteuid() == 0 else ""
    parts = {name: text.format(mirror=place.mirror) if place.mirror else "" for name, text in MIRROR.items()}
    text = NGINX.format(d=place.folder, user=user, upstream=place.upstream, port=place.port, **parts)
    (place.folder / "nginx.conf").write_text(text)
    return Launch([build.nginx(), "-p", str(place.folder), "-c", str(place.folder / "nginx.conf")])


def aiohttp_proxy(place: Place) -> Launch:
    """aiohttp's server and client on uvloop."""
    program = str(Path(__file__).with_name("aiohttp_proxy.py"))
    return Launch([sys.executable, program], {"PORT": str(place.port), "UPSTREAM": str(place.upstream)})


def address(port: int) -> dict[str, Any]:
    """A loopback address as Envoy writes it."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy(place: Place) -> Launch:
    """Envoy with one worker thread."""
    prefix = "type.googleapis.com/envoy.extensions.filters"
    header = {"key": "authorization", "value": "Bearer bench-upstream"}
    limits = {"max_connections": 10000, "max_requests": 100000, "max_pending_requests": 100000}
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "up", "timeout": "600s"},
        "request_headers_to_add": [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "response_headers_to_add": [{"header": {"key": "x-release-id", "value": "rel-7"}}],
    }
    manager = {
        "@type": f"{prefix}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "h",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{prefix}.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    cluster = {
        "name": "up",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "up",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(place.upstream)}}]}],
        },
        "circuit_breakers": {"thresholds": [limits]},
    }
    listener = {"name": "l", "address": address(place.port), "filter_chains": [chain]}
    file = place.folder / "envoy.json"
    file.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    options = ["--concurrency", "1", "-l", "error", "--base-id", str(place.port), "--disable-hot-restart"]
    return Launch([build.envoy(), "-c", str(file), *options])


def litellm(place: Place) -> Launch:
    """LiteLLM's proxy, one worker, no database, no key check, its telemetry off."""
    parameters = {
        "model": "openai/gpt-4o",
        "api_base": f"http://127.0.0.1:{place.upstream}/v1",
        "api_key": "bench-upstream",
    }
    config = {
        "model_list": [{"model_name": ALIAS, "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False},
    }
    file = place.folder / "litellm.json"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = [
        build.litellm(),
        "--config",
        str(file),
        "--host",
        "127.0.0.1",
        "--port",
        str(place.port),
        "--num_workers",
        "1",
    ]
    switches = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
    return Launch(
        [*command, "--telemetry", "False"], switches | {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    )


def trivet(place: Place) -> Launch:
    """Trivet with everything on: a key per tenant, runs bound, stamps and journal in Redis, metrics."""
    keys = [
        {"sha256": hashlib.sha256(key_of(n).encode()).hexdigest(), "tenant": f"tenant-{n}"}
        for n in range(place.tenants)
    ]
    upstream = {"base_url": f"http://127.0.0.1:{place.upstream}", "api_key": "bench-upstream", "allow_private": True}
    config = {
        "listen": f"127.0.0.1:{place.port}",
        "auth": "keys",
        "admin": {"listen": f"127.0.0.1:{place.admin}"},
        "store": {"redis": f"redis://127.0.0.1:{place.redis}/0", "data_dir": str(place.folder / "data")},
        "stamp_keys": [hashlib.sha256(b"bench").hexdigest()],
        "keys": keys,
        "providers": {"openai": upstream},
        "aliases": {ALIAS: {"first_release": {"model": SNAPSHOT}}},
    }
    file = place.folder / "gateway.yaml"
    file.write_text(json.dumps(config, indent=2))
    return Launch([sys.executable, "-m", "gateway", "serve", "--config", str(file)], {"PYTHONPATH": str(ROOT)})


CONTESTANTS = {
    each.name: each
    for each in (
        Contestant("nginx", "Debian's nginx as reverse proxy", nginx),
        Contestant("envoy", "Envoy, one thread, no access log", envoy),
        Contestant("aiohttp", "a minimal proxy on aiohttp's server and client, uvloop", aiohttp_proxy),
        Contestant("litellm", "LiteLLM's proxy, one worker, no database, no key check", litellm, low_rate=20, conns=8),
        Contestant(
            "trivet",
            "one live worker: keys, runs bound, stamps and journal in Redis, metrics",
            trivet,
            require="x-trivet-release",
        ),
    )
}
