"""How a command reaches the gateway: through its admin port, or straight on the store when that port is not there.

Rule of the file: the fallback is said aloud, happens only for the gateway that the configuration on this machine names,
and never for an address somebody gave: that might be another store.
"""

from __future__ import annotations

import http.client
import json as plain_json
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from cyclopts import Group, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit, exit_of
from gateway.core.contract.fault import Fault

if TYPE_CHECKING:
    from gateway.admin.asks import Rollback
    from gateway.admin.table import Operation
    from gateway.wiring.configured import Loaded

ANSWER_SECONDS = 15.0
"""Limit of a call: the slowest one waits for every worker to confirm a pointer."""
CONNECT_SECONDS = 3.0
WHERE = Group("Where and how", sort_key=90)


class Failed(Exception):
    """A command that ends here, with a sentence and an exit code."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NobodyListens(Exception):
    """The admin port refuses connections."""


@Parameter(name="*", group=WHERE)
@dataclass(frozen=True)
class Reach:
    """Options that every verb takes."""

    admin: Annotated[str, Parameter(env_var="TRIVET_ADMIN_URL", show_default=False)] = ""
    """URL of the admin port; by default what the configuration says. The token comes from TRIVET_ADMIN_TOKEN."""
    config: Annotated[str, Parameter(env_var="TRIVET_CONFIG", show_default=False)] = ""
    """Configuration file; by default config/gateway.yaml, then gateway.yaml."""
    direct: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Work on the store directly, without the admin port."""
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Print one JSON document."""

    def call(self, name: str, ask: msgspec.Struct) -> Any:
        """Do an operation of the admin table; returns its record. Raises Failed."""
        from gateway.admin.operations import OPERATIONS  # noqa: PLC0415 - the rooms below are heavy; --help needs none

        operation = OPERATIONS[name]
        if self.direct:
            return self._directly(operation, ask)
        try:
            return ask_port(self.address(), operation, ask)
        except NobodyListens as error:
            if self.admin:
                raise Failed(
                    Exit.UNREACHABLE,
                    f"nobody listens on {self.admin}. On the gateway's machine --direct works on its store without it.",
                ) from error
            show.note(f"The admin port {self.address()} does not answer; working on the store directly.")
            return self._directly(operation, ask)

    def address(self) -> str:
        """URL of the admin port. Raises Failed when the configuration cannot be read."""
        if self.admin:
            return self.admin if "://" in self.admin else f"http://{self.admin}"
        from gateway.wiring.configured import Refused, find  # noqa: PLC0415
        from gateway.wiring.direct import admin_address  # noqa: PLC0415

        try:
            return admin_address(find(self.config))
        except Refused as error:
            hint = "A gateway that runs keeps its last good configuration: --admin URL speaks to it without this file."
            raise Failed(Exit.USAGE, f"{error}\n{hint}") from error

    def _directly(self, operation: Operation, ask: msgspec.Struct) -> Any:
        from gateway.wiring.configured import Refused, find  # noqa: PLC0415
        from gateway.wiring.direct import perform  # noqa: PLC0415

        try:
            return perform(find(self.config), operation, ask)
        except Refused as error:
            raise Failed(Exit.USAGE, str(error)) from error
        except Fault as fault:
            raise Failed(exit_of(fault.status), fault.message) from fault

    def locally(self, ask: Rollback) -> Any:
        """Roll back on this host alone, through the override file. Raises Failed."""
        from gateway.wiring.configured import Refused, find  # noqa: PLC0415
        from gateway.wiring.direct import roll_back_here  # noqa: PLC0415

        try:
            return roll_back_here(find(self.config), ask)
        except Refused as error:
            raise Failed(Exit.USAGE, str(error)) from error
        except Fault as fault:
            raise Failed(exit_of(fault.status), fault.message) from fault

    def loaded(self) -> Loaded:
        """The configuration of this machine. Raises Failed when it cannot be used."""
        from gateway.wiring import configured  # noqa: PLC0415

        try:
            return configured.read(configured.find(self.config))
        except configured.Refused as error:
            raise Failed(Exit.USAGE, str(error)) from error

    def print(self, record: Any, printer: show.Printer) -> None:
        """Show a record the way that was asked for."""
        if self.json:
            show.json(record)
        else:
            printer(record)


HERE = Reach()
"""Default of every verb: the gateway of this machine, for people."""


def ask_port(address: str, operation: Operation, ask: msgspec.Struct) -> Any:
    """Do an operation over HTTP. Raises NobodyListens, or Failed with what the port said."""
    target, body = operation.placed(ask)
    headers = {"accept": "application/json"}
    if operation.method != "GET":
        headers["content-type"] = "application/json"
    token = os.environ.get("TRIVET_ADMIN_TOKEN", "")
    if token:
        headers["authorization"] = f"Bearer {token}"
    status, answer = _exchange(address, operation.method, target, body, headers, operation.seconds)
    if status == 200:
        try:
            return msgspec.json.decode(answer, type=operation.answer)
        except msgspec.DecodeError as error:
            raise Failed(
                Exit.BROKEN, f"{address} answered something else: is it the admin port of this version of Trivet?"
            ) from error
    raise Failed(exit_of(status), _told(status, answer))


def _exchange(
    address: str, method: str, target: str, body: bytes, headers: dict[str, str], seconds: float = 0.0
) -> tuple[int, bytes]:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failed(Exit.USAGE, "the admin address must look like http://127.0.0.1:8081")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=CONNECT_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(seconds or ANSWER_SECONDS)
        connection.request(method, parts.path.rstrip("/") + target, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionRefusedError as error:
        raise NobodyListens from error
    except TimeoutError as error:
        raise Failed(
            Exit.UNREACHABLE,
            f"{address} did not answer in time. If this was a change, look before trying again; "
            "--direct works on the store without this port.",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Failed(Exit.UNREACHABLE, f"{address} cannot be reached ({type(error).__name__})") from error
    finally:
        connection.close()


def _told(status: int, answer: bytes) -> str:
    try:
        return str(plain_json.loads(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the admin port answered {status}"
