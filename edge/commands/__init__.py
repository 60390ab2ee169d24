"""One file a verb of ``linesight``: ``add_arguments(parser)`` and ``run(args) -> int``."""
