"""`make bench`: whole processes side by side, ours and what people use today. See ``python -m benchmarks --help``."""
