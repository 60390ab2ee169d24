"""Every error that LineSight raises on purpose.

::

    LineSightError                   contract/errors.py   exit
    ├── ModelError                   ValueError             78
    │   ├── BundleNotFound           FileNotFoundError      78
    │   ├── ManifestError                                   78
    │   ├── HashMismatch                                    78
    │   ├── SpecMismatch                                    78
    │   └── GoldenMismatch                                  78
    ├── UsageError                   ValueError              2
    ├── ConfigError                  ValueError             78
    ├── SourceError                  OSError                 1
    │   ├── SourceNotFound           FileNotFoundError      78
    │   ├── UnsupportedSource        ValueError             78
    │   ├── DriverAbsent                                    69
    │   ├── SourceUnavailable        ConnectionError         1
    │   └── FrameCorrupt             ValueError              1
    ├── LineUnavailable              ConnectionError         1
    ├── LotAbsent                    LookupError             1
    ├── DataError                    ValueError             78
    ├── EngineError                  RuntimeError            1
    │   └── RuntimeAbsent            ImportError            69
    ├── NonFiniteOutput              ArithmeticError         1
    ├── ExtraAbsent                  ImportError            69
    ├── OutboxError                  OSError                 1
    │   ├── OutboxLocked             BlockingIOError        78
    │   └── OutboxUnwritable         PermissionError        78
    ├── SinkError                    OSError                 1
    │   ├── BrokerUnreachable        ConnectionError        69
    │   ├── BrokerRefused            PermissionError        69
    │   └── MessageRefused           ValueError              1
    └── StageError                   RuntimeError            1
        ├── StageStuck               TimeoutError            1
        └── StageFailed                                      1
"""

from edge.contract.errors import (
    BundleNotFound,
    GoldenMismatch,
    HashMismatch,
    LineSightError,
    ManifestError,
    ModelError,
    SpecMismatch,
)

__all__ = [
    "BrokerRefused",
    "BrokerUnreachable",
    "BundleNotFound",
    "ConfigError",
    "DataError",
    "DriverAbsent",
    "EngineError",
    "ExtraAbsent",
    "FrameCorrupt",
    "GoldenMismatch",
    "HashMismatch",
    "LineSightError",
    "LineUnavailable",
    "LotAbsent",
    "ManifestError",
    "MessageRefused",
    "ModelError",
    "NonFiniteOutput",
    "OutboxError",
    "OutboxLocked",
    "OutboxUnwritable",
    "RuntimeAbsent",
    "SinkError",
    "SourceError",
    "SourceNotFound",
    "SourceUnavailable",
    "SpecMismatch",
    "StageError",
    "StageFailed",
    "StageStuck",
    "UnsupportedSource",
    "UsageError",
]


class UsageError(LineSightError, ValueError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class ConfigError(LineSightError, ValueError):
    """``station.toml`` has mistakes; the message holds one line for each of them."""

    exit_code = 78


class SourceError(LineSightError, OSError):
    """A source of frames does not give any."""


class SourceNotFound(SourceError, FileNotFoundError):
    """The file, folder or device node that the URI names does not exist."""

    exit_code = 78


class UnsupportedSource(SourceError, ValueError):
    """The URI's scheme is unknown, its options are wrong, or the file holds no pictures."""

    exit_code = 78


class DriverAbsent(SourceError):
    """The URI is right, but the software that reads such a source is not installed."""

    exit_code = 69


class SourceUnavailable(SourceError, ConnectionError):
    """The source exists but does not answer now; trying again later may help."""


class FrameCorrupt(SourceError, ValueError):
    """One frame could not be decoded; the next one may be fine."""


class LineUnavailable(LineSightError, ConnectionError):
    """An encoder or a digital line of the factory line does not answer; it may do so later."""


class LotAbsent(LineSightError, LookupError):
    """A lot was ended and none is open."""


class DataError(LineSightError, ValueError):
    """Labelled data for an evaluation is absent, unreadable or contradicts itself."""

    exit_code = 78


class EngineError(LineSightError, RuntimeError):
    """The inference runtime failed."""


class RuntimeAbsent(EngineError, ImportError):
    """No inference runtime works in this Python environment."""

    exit_code = 69


class NonFiniteOutput(LineSightError, ArithmeticError):
    """A model gave NaN or infinity; its outputs were thrown away."""


class ExtraAbsent(LineSightError, ImportError):
    """A verb needs an optional extra that is not installed."""

    exit_code = 69


class OutboxError(LineSightError, OSError):
    """The outbox cannot store or read messages."""


class OutboxLocked(OutboxError, BlockingIOError):
    """Another process owns this outbox."""

    exit_code = 78


class OutboxUnwritable(OutboxError, PermissionError):
    """The state directory, or the database in it, cannot be written."""

    exit_code = 78


class SinkError(LineSightError, OSError):
    """A sink cannot deliver."""


class BrokerUnreachable(SinkError, ConnectionError):
    """No broker answers at the configured address."""

    exit_code = 69


class BrokerRefused(SinkError, PermissionError):
    """The broker answers but refuses us: wrong password, topic not allowed, protocol."""

    exit_code = 69


class MessageRefused(SinkError, ValueError):
    """The message can never be sent over this connection; another one may be."""


class StageError(LineSightError, RuntimeError):
    """A thread of the service did not do as it should."""


class StageStuck(StageError, TimeoutError):
    """A thread did not end within its deadline."""


class StageFailed(StageError):
    """A thread ended with an exception that nothing handled."""
