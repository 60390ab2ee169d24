"""The service: its threads, what they hand over, and the order in which they stop.

::

    capture:<camera> ─Frame▶ Mailboxes ─▶ inference:<n> ─Alert▶ Store (outbox) ─Row▶ publish ─▶ Sink
                                              ▲                     ▲                  │
                                              └──────── Inbox ──────┼───── Command ────┤
                                                                    └───── ack ────────┘

Only this package starts threads; everything that one of them does is a class without a thread,
so that a test can do it step by step.
"""

from edge.pipeline.ids import AlertIds
from edge.pipeline.judge import Observer
from edge.pipeline.last_exit import LastExit
from edge.pipeline.line import LineParts
from edge.pipeline.parts import Camera, Description
from edge.pipeline.pipeline import Pipeline

__all__ = [
    "AlertIds",
    "Camera",
    "Description",
    "LastExit",
    "LineParts",
    "Observer",
    "Pipeline",
]
