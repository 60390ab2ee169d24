"""Why a file cannot be explained, told in one line."""

from edge.contract.errors import ModelError


class InspectionError(ModelError):
    """The file is no model that anything is known about, or it is damaged."""
