"""A model server is a child that says where it is, or why it is not."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from gateway.demo.local_llm import ModelFailed, serving


def test_why_it_did_not_start_is_told(tmp_path: Path) -> None:
    """A file that is no model, or a Python without the extra, ends in a message and no process."""

    async def test() -> None:
        broken = tmp_path / "broken.gguf"
        await anyio.Path(broken).write_bytes(b"no model")
        with pytest.raises(ModelFailed, match=r"did not start\n."):
            async with serving(broken, "x@sha256:1", tmp_path / "log"):
                pass

    anyio.run(test)
