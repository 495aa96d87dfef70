"""Of content: a copied file has the same, a replaced file another."""

import hashlib
from typing import BinaryIO

from pipeline.imaging import files

WHOLE = 2**18  # bytes; a file up to this size is read as a whole
HEAD = 2**16  # bytes; of a larger one this start, and so many blocks behind it
BLOCKS = 16
BLOCK = 2**12  # bytes


def of(file: BinaryIO) -> str:
    """Fingerprint of an open file, 32 hexadecimal digits.

    Of a DICOM file above 256 KiB: of its size, its first 64 KiB, and 16 blocks of 4 KiB at even distances up to its
    end. So a file that keeps its size and its first 64 KiB, and whose pixels differ between the blocks alone, is taken
    for the old one: a retouch of a few uncompressed rows that leaves the header as it was. A compressed image that
    differs has another length, or other bytes from there on; what is exported again has another header. Any smaller
    file, and any PNG, JPEG or TIFF, whose headers tell two images not apart, counts with all its bytes.

    SHA-256, since it is the fastest of the standard library that is not broken: 1.7 GB/s, BLAKE2b 0.7, SHA-3 0.5.
    """
    size = file.seek(0, 2)
    if size <= WHOLE or files.kind(file) in files.PICTURES:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]  # type: ignore[arg-type]
    file.seek(0)
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    digest.update(file.read(HEAD))
    for number in range(1, BLOCKS + 1):
        file.seek(HEAD + (size - HEAD) * number // BLOCKS - BLOCK)
        digest.update(file.read(BLOCK))
    return digest.hexdigest()[:32]
