"""The topic tree of a station. Its literal levels make collisions impossible, whatever the ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one station.

    Parameters
    ----------
    root
        First levels of every topic; may contain slashes, has no wildcard.
    node
        The station's id.
    """

    root: str
    node: str

    @property
    def station(self) -> str:
        """What all topics of the station begin with, without the slash behind it."""
        return f"{self.root}/{self.node}"

    @property
    def client_id(self) -> str:
        """The MQTT client id of the station."""
        return f"{self.root.replace('/', '-')}-{self.node}"

    @property
    def availability(self) -> str:
        """``online`` or ``offline``, retained; the will's topic."""
        return f"{self.station}/availability"

    @property
    def info(self) -> str:
        """What runs here: versions, models, configuration; retained."""
        return f"{self.station}/info"

    @property
    def health(self) -> str:
        """The health message, retained."""
        return f"{self.station}/health"

    def camera_availability(self, camera: str) -> str:
        """``online`` or ``offline`` of one camera, retained."""
        return f"{self.station}/cam/{camera}/availability"

    def state(self, camera: str) -> str:
        """A camera's last summary, retained."""
        return f"{self.station}/cam/{camera}/state"

    def alert(self, camera: str) -> str:
        """The life cycle of a camera's alerts."""
        return f"{self.station}/cam/{camera}/alert"

    def verdict(self, camera: str) -> str:
        """What each section of the strip under a line camera is worth."""
        return f"{self.station}/cam/{camera}/verdict"

    @property
    def lot(self) -> str:
        """The lot that is open, or was last; retained."""
        return f"{self.station}/lot"

    @property
    def lot_report(self) -> str:
        """Lots that are over."""
        return f"{self.station}/lot/report"

    def reply(self, verb: str) -> str:
        """Answers to a verb, unless the request names a topic of its own."""
        return f"{self.station}/reply/{verb}"

    @property
    def ack(self) -> str:
        """Where consumers confirm, when they are asked to."""
        return f"{self.station}/cmd/ack"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """What a station subscribes to; never its own root."""
        return (f"{self.station}/cmd/+", f"{self.station}/cam/+/cmd/+")

    def command(self, topic: str) -> tuple[str | None, str] | None:
        """Camera (None: the whole station) and verb of a command's topic, None for any other."""
        head, _, tail = topic.partition(f"{self.station}/")
        if head:
            return None
        match tail.split("/"):
            case ["cmd", verb] if verb:
                return None, verb
            case ["cam", camera, "cmd", verb] if camera and verb:
                return camera, verb
        return None


def fleet_topics(root: str) -> tuple[str, ...]:
    """What a dashboard subscribes to, to see every station under one root."""
    return tuple(
        f"{root}/{tail}"
        for tail in (
            "+/availability",
            "+/info",
            "+/health",
            "+/cam/+/availability",
            "+/cam/+/state",
            "+/cam/+/alert",
            "+/lot/report",
        )
    )
