"""Of content: a copied file has the same, a replaced file another."""

import hashlib
from typing import BinaryIO


def of(file: BinaryIO) -> str:
    """Fingerprint of an open file, 32 hexadecimal digits."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()[:32]
