"""The one error that a user is meant to read."""


class PipelineError(Exception):
    """Something that the user can mend: where it is, what is wrong there, and the remedy."""

    def __init__(self, where: object, what: str, remedy: str) -> None:
        super().__init__(where, what, remedy)
        self.where, self.what, self.remedy = str(where), what, remedy

    def __str__(self) -> str:
        """Three parts in one readable message."""
        return f"{self.where}: {self.what}\n  Remedy: {self.remedy}"
