"""When an alert begins, changes and ends. No clock, no I/O: time is the frames' ``captured_ns``."""

from edge.rules.limit import RateLimited, TokenBucket
from edge.rules.mask import MaskRule, NewId

__all__ = ["MaskRule", "NewId", "RateLimited", "TokenBucket"]
