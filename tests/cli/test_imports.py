"""`trivet import litellm`: a file comes over, and what does not is said."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import openai
import pytest
import yaml

from gateway.cli.app import main
from gateway.cli.exits import Exit
from tests.gateway_process import running
from tests.provider import Provider, answer

GOLDEN = Path(__file__).parent.parent / "golden" / "litellm"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "LITELLM_MASTER_KEY", "AZURE_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def test_it_writes_a_file_that_check_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --out the file is there, for its owner only, and good once its variables are set; the report says the rest."""
    out = tmp_path / "gateway.yaml"
    assert main(["import", "litellm", str(GOLDEN / "team.yaml"), "--out", str(out)]) == Exit.OK
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.read_text() == (GOLDEN / "team.trivet.yaml").read_text()
    told = capsys.readouterr()
    assert "FLOATS" in told.err
    assert "dropped fallback gpt-4o -> claude" in told.err
    assert "not carried over: litellm_settings.drop_params" in told.out
    assert main(["check", "--config", str(out)]) == Exit.USAGE, "variables are missing"
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AZURE_EU_KEY", "AZURE_US_KEY"):
        monkeypatch.setenv(name, f"key-{name}")
    assert main(["check", "--config", str(out)]) == Exit.OK
    assert main(["import", "litellm", str(GOLDEN / "team.yaml"), "--out", str(out)]) == Exit.REFUSED, "it exists"


def test_without_a_file_the_text_is_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output holds the configuration and nothing else; what there is to say goes to standard error."""
    assert main(["import", "litellm", str(GOLDEN / "awkward.yaml")]) == Exit.OK
    told = capsys.readouterr()
    assert told.out == (GOLDEN / "awkward.trivet.yaml").read_text()
    assert "not carried over: !include other.yaml" in told.err
    assert "in-the-clear" not in told.out + told.err


def test_clients_keep_their_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--keep-keys writes the sha256 of each key, and --json reports without a key."""
    keys = tmp_path / "keys.txt"
    keys.write_text("sk-client-secret,team-a\n")
    code = main(["import", "litellm", str(GOLDEN / "team.yaml"), "--keep-keys", str(keys), "--json"])
    told = capsys.readouterr().out
    report = json.loads(told)
    assert (code, report["keys"], report["floating"]) == (Exit.OK, 1, ["mini", "claude-latest", "hidden"])
    assert hashlib.sha256(b"sk-client-secret").hexdigest() in report["text"]
    assert "sk-client-secret" not in told
    assert len(report["fallbacks"]) == 4


@pytest.mark.parametrize("text", ["providers: {}\n", "a: [\n", "- 1\n"])
def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """What is no configuration of LiteLLM, or no YAML, is exit code 2 with a reason."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    assert main(["import", "litellm", str(file)]) == Exit.USAGE
    assert "trivet:" in capsys.readouterr().err
    assert main(["import", "litellm", str(tmp_path / "none.yaml")]) == Exit.USAGE


def test_agents_go_on_with_what_was_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gateway on the written file serves a client that changed nothing: same name, same key, either host."""
    model = "gpt-4o-2024-08-06"
    refused = answer({"error": {"message": "no", "type": "t", "param": None, "code": "rate_limit_exceeded"}}, 429)
    with Provider(refused) as one, Provider() as two:
        deployments = [
            {
                "model_name": "gpt-4o",
                "litellm_params": {"model": f"openai/{model}", "api_base": f"{host.url}/v1", **more},
            }
            for host, more in ((one, {"api_key": "sk-provider-1"}), (two, {"api_key": "sk-provider-2", "order": 2}))
        ]
        file, keys = tmp_path / "config.yaml", tmp_path / "keys.txt"
        file.write_text(yaml.safe_dump({"model_list": deployments}))
        keys.write_text(hashlib.sha256(b"sk-of-a-client").hexdigest())
        assert main(["import", "litellm", str(file), "--keep-keys", str(keys)]) == Exit.OK
        made = yaml.safe_load(capsys.readouterr().out)
        secrets = {"OPENAI_API_KEY_1": "sk-provider-1", "OPENAI_API_KEY_2": "sk-provider-2"}
        with running(**{**made, "listen": "127.0.0.1:0"}, environment=secrets) as gateway:
            with openai.OpenAI(base_url=f"{gateway.base}/v1", api_key="sk-of-a-client", max_retries=0) as client:
                raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=[])
            assert raw.parse().model == model
            assert raw.headers["x-trivet-attempts"] == "2"
            other = openai.OpenAI(base_url=f"{gateway.base}/v1", api_key="sk-other", max_retries=0)
            with other as client, pytest.raises(openai.AuthenticationError):
                client.chat.completions.create(model="gpt-4o", messages=[])
        assert one.requests[0].fields["authorization"] == "Bearer sk-provider-1"
        assert two.requests[0].fields["authorization"] == "Bearer sk-provider-2"
