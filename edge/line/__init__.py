"""What a factory line adds to a camera: where on the strip a pixel lies, and what was judged.

Pure but for the order of calls: no clock, no I/O. Time is the frames' ``captured_ns``. Only
``encoders`` and ``gpio``, and ``uri`` that names them, touch the machine.
"""
