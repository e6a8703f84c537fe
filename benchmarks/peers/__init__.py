"""The contestants of `benchmarks.tables`: one small program each, run in an environment of its own."""
