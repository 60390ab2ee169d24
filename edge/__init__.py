"""LineSight: watches a camera on a small computer and tells an MQTT broker what it saw.

A ``Source`` yields ``Frame``s; a ``Task`` turns a frame into a ``Result`` (preprocess, ``Engine``,
decode); a ``Tracker`` and ``Rule``s turn observations into ``Alert``s; messages wait in the
``Outbox`` until the ``Sink`` has delivered them.

This package imports nothing, so that ``import edge`` costs nothing: read ``records``, then
``protocols``, then ``pipeline``, then ``app``.
"""

__version__ = "0.1.0"
