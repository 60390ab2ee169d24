"""The composition root: the only package of the service that names concrete classes."""

from edge.app.station import OUTBOX, build, mqtt_settings
from edge.app.tasks import open_checked, open_task

__all__ = ["OUTBOX", "build", "mqtt_settings", "open_checked", "open_task"]
