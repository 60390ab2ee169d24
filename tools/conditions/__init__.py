"""The reference system's test conditions, acted out with held-back pictures.

``python -m tools.conditions --data DIR`` shows the shipped models, and the reference's detector
beside them, each condition of `docs/reference-conditions.md` and prints what they found.
"""
