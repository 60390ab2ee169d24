"""Where messages go: one file for each transport, each implements ``edge.protocols.Sink``."""
