"""Which files there are, and which of them must be read again."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError

# Suffixes of files that stand beside images and are none; everything else must end as a row or in quarantine.
SIDE_FILES = frozenset(
    """
    .7z .bak .bat .bin .bz2 .cfg .css .csv .db .doc .docx .exe .gz .h5 .hdf5 .htm .html .inf .ini .ipynb .js .json
    .jsonl .lnk .log .mat .md .npy .npz .ods .odt .parquet .pdf .pickle .pkl .ppt .pptx .pt .pth .py .r .rar .rst .rtf
    .sh .sqlite .svg .tar .tgz .toml .tsv .txt .xls .xlsx .xml .xz .yaml .yml .zip
    """.split()  # noqa: SIM905 - one line for each otherwise
)
DIRECTORY = "a DICOM directory"  # the reason of a file that its content alone tells to be a side file

Row = dict[str, str]


def candidates(root: Path) -> tuple[pd.DataFrame, list[Row], Counter[str]]:
    """Everything below `root` that may be an image.

    Hidden files, DICOMDIR and side files are left out; links are followed.

    Returns:
        Table of path (relative, with slashes), size in bytes and mtime_ns, sorted by path; quarantine rows for what no
        program can open by its name, or would wait for; and how many side files there are of each suffix.

    Raises:
        PipelineError: the folder or one below it is missing or can't be read, or holds no candidate.
    """
    found: list[tuple[str, int, int]] = []
    strays: list[Row] = []
    side: Counter[str] = Counter()
    for path, entry in _walk(root):
        start, _, suffix = entry.name.lower().rpartition(".")
        if start and f".{suffix}" in SIDE_FILES:
            side[f".{suffix}"] += 1
        elif "dicomdir" in (start, suffix):
            side["DICOMDIR"] += 1
        elif not path.isascii() and not _is_text(path):
            name = os.fsencode(path).decode("utf-8", "backslashreplace")
            strays.append({"path": name, "reason": "file name is no valid UTF-8", "remedy": "rename the file"})
        elif (size_and_time := _size_and_time(entry)) is None:
            strays.append({"path": path, "reason": "no regular file", "remedy": "move it out of the image folder"})
        else:
            found.append((path, *size_and_time))
    if not found and not strays:
        seen = f"; it has {sum(side.values())} files of other kinds ({', '.join(sorted(side))})" if side else ""
        raise PipelineError(root, f"holds no image{seen}", "point data.images to the folder of the image files")
    found.sort()
    return pd.DataFrame(found, columns=["path", "size", "mtime_ns"]), strays, side


def compare(files: pd.DataFrame, memo: pd.DataFrame, stamp: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the memo that still hold for `files`, and the paths that must be read."""
    valid = memo[memo["stamp"] == stamp]
    known = valid.merge(files, on=["path", "size", "mtime_ns"])
    held = set(known["path"].tolist())  # pandas' isin is many times slower on text
    return known, [path for path in files["path"].tolist() if path not in held]


def stamp(key: bytes, root: Path) -> str:
    """Changes with the image folder, and when a header would be read or hashed in another way.

    It tells nothing of the key.
    """
    digest = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8, key=key)
    for name in ("elements.py", "files.py", "fingerprint.py", "headers.py", "identity.py", "quarantine.py", "scan.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    for name in ("pydicom", "pillow"):
        digest.update(metadata.version(name).encode())
    return digest.hexdigest()


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    folders: list[tuple[str, str]]
    seen: set[str]
    folders, seen = [("", str(root))], set()
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not entry.is_dir():
                        yield prefix + entry.name, entry
                    elif not entry.is_symlink() or _is_new(entry, seen):
                        folders.append((f"{prefix}{entry.name}/", entry.path))
        except OSError as error:
            remedy = "mend data.images in params.yaml" if not prefix else "give yourself permission to read it"
            raise PipelineError(folder, f"cannot be read as a folder ({error.strerror})", remedy) from None


def _is_new(entry: os.DirEntry[str], seen: set[str]) -> bool:
    """A linked folder that was not followed yet and does not lead back to where it stands."""
    target = os.path.realpath(entry.path)
    new = target not in seen and not Path(os.path.realpath(os.path.dirname(entry.path))).is_relative_to(target)
    seen.add(target)
    return new


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    """Bytes and mtime_ns of a file; None for a pipe, a socket or a device."""
    try:
        found = entry.stat()
    except OSError:  # a dangling link: reading it will give the reason
        return -1, -1
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
