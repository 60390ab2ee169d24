"""Who speaks: what every message of one run of the service has in common."""

from __future__ import annotations

from dataclasses import dataclass

from edge.messages.topics import Topics


@dataclass(frozen=True, slots=True)
class StationInfo:
    """The context that messages are encoded in.

    Parameters
    ----------
    root, node
        As in ``station.toml``.
    boot_id
        The kernel's id of this boot; monotonic times compare within one boot only.
    config
        Short hash of the configuration in force.
    clock_synced
        Whether the wall clock is known to be right.
    """

    root: str
    node: str
    boot_id: str
    config: str
    clock_synced: bool

    @property
    def topics(self) -> Topics:
        """The station's topics."""
        return Topics(self.root, self.node)
