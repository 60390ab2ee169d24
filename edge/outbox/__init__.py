"""Messages wait here, on disk, until the sink has delivered them."""

from edge.outbox.outbox import Outbox
from edge.outbox.row import OutboxCounters, Row

__all__ = ["Outbox", "OutboxCounters", "Row"]
