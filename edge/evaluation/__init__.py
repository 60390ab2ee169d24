"""What a model is worth on labelled data; pure but for reading the data."""

from edge.evaluation.decision import Decision
from edge.evaluation.evaluate import evaluate

__all__ = ["Decision", "evaluate"]
