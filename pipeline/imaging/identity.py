"""Keyed pseudonyms: the same patient gives the same group, and nobody reads the patient from it."""

import hashlib
import os
import secrets
from pathlib import Path

from pipeline.errors import PipelineError

VARIABLE = "SKEWRAY_KEY"


def pseudonym(key: bytes, identifier: str) -> str:
    """Keyed hash of an identifier without the spaces around it, 16 hexadecimal digits; empty stays empty."""
    stripped = identifier.strip()
    return hashlib.blake2b(stripped.encode(), digest_size=8, key=key).hexdigest() if stripped else ""


def load_key() -> bytes:
    """The key of this user, 32 bytes: the variable SKEWRAY_KEY, else a file that is made at first use.

    Raises:
        PipelineError: the file can't be read or written.
    """
    phrase = os.environ.get(VARIABLE)
    if phrase:
        return hashlib.blake2b(phrase.encode(), digest_size=32).digest()
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "skewray" / "key"
    try:
        return _read(path) if path.exists() else _make(path)
    except (OSError, ValueError) as error:
        what = f"the key that hides patient ids cannot be read or made ({error})"
        raise PipelineError(path, what, f"set the environment variable {VARIABLE} to a secret phrase") from None


def _read(path: Path) -> bytes:
    key = bytes.fromhex(path.read_text().strip())
    if len(key) < 16:
        raise ValueError("it holds fewer than 16 bytes")
    return key[:64]


def _make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = secrets.token_bytes(32)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(key.hex() + "\n")
    return key
