"""Root of the error tree (drawn in :mod:`edge.errors`) and the errors of the model contract."""


class LineSightError(Exception):
    """Anything that LineSight raises on purpose.

    Parameters
    ----------
    message
        One line that names the thing (key, file, topic) and what is wrong with it.
    hint
        What the operator can do about it; one line, may be empty.

    Attributes
    ----------
    exit_code
        The process exit code when the error ends a command: 1 at run time, 2 usage,
        69 broker or an optional extra absent, 78 configuration or model.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ModelError(LineSightError, ValueError):
    """A model bundle cannot be used as it is."""

    exit_code = 78


class BundleNotFound(ModelError, FileNotFoundError):
    """No bundle, or no file of it, at the place that was named."""


class ManifestError(ModelError):
    """``manifest.json`` is not JSON, has an unknown or missing key, or contradicts itself."""


class HashMismatch(ModelError):
    """The bytes of a file are not those that its SHA-256 in the manifest promises."""


class SpecMismatch(ModelError):
    """The model file's tensors are not those that the manifest promises."""


class GoldenMismatch(ModelError):
    """Other outputs for the golden inputs on this machine than the converter had."""
