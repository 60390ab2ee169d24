"""What goes wrong with a Keras model file, told in one line."""

from edge.contract.errors import ModelError


class KerasModelError(ModelError):
    """The file is no Keras model that this converter takes, or not the one the recipe describes."""
