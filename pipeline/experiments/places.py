"""Working folders of runs: their params, what was made in them with which signature, and what they take from others."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import provenance, storage
from pipeline.errors import PipelineError
from pipeline.experiments.graph import MEMO, Job
from pipeline.experiments.presets import Values


@dataclass
class Place:
    """A folder that holds params.yaml and artifacts/, and record.json.

    Attributes:
        path: of the folder.
        made: signature by name of the jobs that ended well, or were taken from another place.
        seconds: by name, of those that ran here.
        failed: name of the job that failed last, and why; empty if none did.
    """

    path: Path
    made: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path) -> "Place":
        """The place of a folder, with what its record says; a damaged one says nothing."""
        try:
            found = storage.load_json(path / "record.json", "index")
            return cls(path, found["made"], found["seconds"], found["failed"])
        except (PipelineError, KeyError, TypeError):
            return cls(path)

    def save(self) -> None:
        """Write record.json."""
        record = {"made": self.made, "seconds": self.seconds, "failed": self.failed}
        storage.save_json(self.path / "record.json", record)

    def has(self, job: Job, signature: str) -> bool:
        """Whether the job ended well here with this signature, and its output is there."""
        return self.made.get(job.name) == signature and all((self.path / out).exists() for out in job.outs)

    def write_params(self, values: Values) -> None:
        """Write params.yaml."""
        with storage.file_atomic(self.path / "params.yaml") as file:
            YAML(typ="safe", pure=True).dump(values, file)

    def take(self, job: Job, other: "Place", signature: str) -> None:
        """Take the output of a job from another place, by hard links."""
        for out in job.outs:
            _share(other.path / out, self.path / out)
        self.made[job.name] = signature
        self.save()

    def begin_with(self, job: Job, others: Iterable["Place"]) -> None:
        """Take what the job goes on from out of the first place that has it; a stage keeps of it what still holds."""
        wanted = [*job.kept, *([MEMO] if job.name == "index" else [])]
        for out in wanted:
            source = next((place.path / out for place in others if (place.path / out).exists()), None)
            if source and not (self.path / out).exists():
                _share(source, self.path / out)


def signatures(jobs: Sequence[Job], values: Values, index: str) -> dict[Job, str]:
    """Signature of every job, in order.

    Args:
        jobs: from the index on.
        values: all of params.yaml.
        index: signature of the index, which is known only once it is written.
    """
    made: dict[Job, str] = {}
    for job in jobs:
        made[job] = index if job.name == "index" else job.signature(values, made)
    return made


def index_signature(place: Place, job: Job) -> str:
    """Checksum of what the index stage wrote: it runs every time, since only a scan tells whether the data changed."""
    return provenance.checksum_of_json({str(out): provenance.checksum(place.path / out) for out in job.outs})


def _share(source: Path, target: Path) -> None:
    if source.is_dir():
        with storage.folder_atomic(target) as aside:
            shutil.copytree(source, aside, copy_function=_link, dirs_exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # a link over another name of the same file would leave both
    storage.link(source, target)


def _link(source: str, target: str) -> None:
    storage.link(Path(source), Path(target))
