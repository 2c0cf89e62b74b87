"""Changes of a batch that could not be written to its database, in files of this machine."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING

from voicectl.store import files
from voicectl.store.batches.records import Attempt, AttemptState, Changes, PersonChange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Spool:
    """The unwritten changes of one batch. Several processes may use it.

    Args:
        directory: The application's state directory.
        batch: A text that no other batch has, in any database.
    """

    def __init__(self, directory: Path, batch: str) -> None:
        self._directory = directory / "unwritten" / hashlib.sha256(batch.encode()).hexdigest()[:32]

    def put(self, changes: Changes) -> None:
        """Keep what became of attempts durably.

        Attempts that were not made are left out, so that they are looked for instead of being made again, and so are
        people without an attempt, about whom the next run decides anew.

        Raises:
            OSError: The files cannot be written.
            ConfigError: The directory cannot be created, or other users can change it.
        """
        if not changes.attempts:
            return
        made = {each.person for each in changes.attempts}
        kept = {
            "at": changes.at,
            "attempts": [asdict(each) for each in changes.attempts],
            "people": [asdict(each) for each in changes.people if each.person in made],
        }
        files.private_directory(self._directory)
        name = f"{round(changes.at * 1e6):020d}-{secrets.token_hex(8)}.json"
        files.write_private(self._directory / name, json.dumps(kept).encode())

    def changes(self) -> Iterator[Changes]:
        """Yield the changes, oldest first. Each is deleted once the caller asks for the next one.

        Raises:
            OSError: The files cannot be read.
        """
        for path in sorted(self._directory.glob("*.json")):
            try:
                kept = json.loads(path.read_bytes())
            except FileNotFoundError:  # another process has written it to the database
                continue
            yield Changes(
                at=kept["at"],
                attempts=[
                    Attempt(**each | {"state": AttemptState(each["state"])}) for each in kept["attempts"]
                ],
                people=[PersonChange(**each) for each in kept["people"]],
            )
            path.unlink(missing_ok=True)
