"""What a model promises, and the code that holds it to that.

The converter writes a bundle through this package and the device reads it through this package,
so that there is one preprocessing, one quantization and one manifest.
"""
