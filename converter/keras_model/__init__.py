"""A trained Keras model file: scanned first, loaded only then.

A model file is code until proven otherwise. The scan (:mod:`~converter.keras_model.source`) reads
it without Keras or TensorFlow; only what passed is loaded, in a limited child process. What the
child tells about the model is plain data, and that is all that this package imports by itself.
"""

from converter.keras_model.errors import KerasModelError
from converter.keras_model.facts import LayerFacts, ModelFacts, TensorFacts

__all__ = ["KerasModelError", "LayerFacts", "ModelFacts", "TensorFacts"]
