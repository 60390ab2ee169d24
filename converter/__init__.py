"""Turns a trained Keras model into a bundle that a camera station can load; also trains the
models we ship.
"""
