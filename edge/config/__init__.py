"""``station.toml``: what one station watches, how it judges, and where it reports.

:func:`load` reads the file and reports every mistake in it at once.
"""

from edge.config.credentials import read_password
from edge.config.line import EncoderSettings, GradeSettings, LineTable, SpeedSettings
from edge.config.load import build, load, valid_tables
from edge.config.models import (
    Camera,
    Config,
    Inference,
    Models,
    Mqtt,
    Outbox,
    RuleSettings,
    Station,
    bundles_of,
    frame_size,
    line_camera,
    without_password,
)
from edge.sinks.mqtt_settings import is_local

__all__ = [
    "Camera",
    "Config",
    "EncoderSettings",
    "GradeSettings",
    "Inference",
    "LineTable",
    "Models",
    "Mqtt",
    "Outbox",
    "RuleSettings",
    "SpeedSettings",
    "Station",
    "build",
    "bundles_of",
    "frame_size",
    "is_local",
    "line_camera",
    "load",
    "read_password",
    "valid_tables",
    "without_password",
]
