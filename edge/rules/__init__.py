"""When an alert begins, changes and ends. No clock, no I/O: time is the frames' ``captured_ns``."""

from edge.rules.defect import DefectRule
from edge.rules.limit import RateLimited, TokenBucket
from edge.rules.mask import MaskRule
from edge.rules.threshold import Judged, NewId, ThresholdRule

__all__ = [
    "DefectRule",
    "Judged",
    "MaskRule",
    "NewId",
    "RateLimited",
    "ThresholdRule",
    "TokenBucket",
]
