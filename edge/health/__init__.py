"""How the service is: heartbeats and counters, from which a ``Status`` is made."""

from edge.health.camera import CameraHealth
from edge.health.health import Health
from edge.health.heartbeat import Heartbeat
from edge.health.line import LineHealth
from edge.health.links import BrokerHealth, OutboxHealth
from edge.health.machine import boot_id, clock_synced, rss_mb
from edge.health.reservoir import Reservoir

__all__ = [
    "BrokerHealth",
    "CameraHealth",
    "Health",
    "Heartbeat",
    "LineHealth",
    "OutboxHealth",
    "Reservoir",
    "boot_id",
    "clock_synced",
    "rss_mb",
]
