"""Refusals of the admin port have one shape."""

from __future__ import annotations

import json

from aiohttp import web

from gateway.admin.errors import error_body, fault_of, internal, refusal
from gateway.core.contract.fault import Fault, Kind


def test_fault_keeps_its_word_and_status() -> None:
    """Code, message, parameter, Retry-After and Allow of a Fault reach the client."""
    fault = Fault(
        Kind.OVERLOADED, "store_unavailable", "the store is away", retry_after=2.4, param="alias", allow=("GET",)
    )
    answer = refusal(fault, "adm-1")
    assert (answer.status, answer.headers["retry-after"], answer.headers["allow"]) == (503, "2", "GET")
    assert isinstance(answer.body, bytes)
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["param"], error["type"]) == ("store_unavailable", "alias", "server_error")


def test_401_says_how_to_authenticate() -> None:
    """A missing token is answered with the scheme."""
    assert "Bearer" in refusal(Fault(Kind.AUTH, "x", "y"), "1").headers["www-authenticate"]


def test_router_refusals_become_faults() -> None:
    """404, 405, 413 and others of aiohttp get our words."""
    assert fault_of(web.HTTPNotFound()).status == 404
    assert fault_of(web.HTTPMethodNotAllowed("PUT", ["POST", "GET"])).allow == ("GET", "POST")
    assert fault_of(web.HTTPRequestEntityTooLarge(1, 2)).status == 413
    assert fault_of(web.HTTPExpectationFailed()).status == 417
    assert internal().status == 500


def test_body_is_json_with_type_of_status() -> None:
    """The type word follows the status."""
    types = [json.loads(error_body("c", "m", status))["error"]["type"] for status in (400, 401, 403, 404, 500)]
    assert types == [
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "server_error",
    ]
