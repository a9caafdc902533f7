"""What of a rollout outlives the process: which models were in service, and how far it was."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """Kept in a file beside the service's logs. `configured` is the model_dir that the service was started with: when
    someone has changed the setting since, the setting counts and not the record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    configured: str
    current: str  # folder of the model that answers
    other: str = ""  # folder of the second one, where there are two for good until someone ends it
    rollout: str = ""  # siftline.rollout.v1.Rollout as JSON

    @classmethod
    def read(cls, file: Path, configured: Path) -> "Record":
        """What the file says, if it is about this setting and its models are still there; else the setting."""
        fresh = cls(configured=str(configured), current=str(configured))
        try:
            record = cls.model_validate_json(file.read_text())
        except (OSError, ValidationError):
            return fresh
        folders = [Path(folder) for folder in (record.current, record.other) if folder]
        return record if record.configured == str(configured) and all(map(Path.is_dir, folders)) else fresh

    def write(self, file: Path) -> None:
        """Whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        with temporary.open("w") as out:
            out.write(self.model_dump_json())
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
