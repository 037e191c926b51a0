"""Real logs as the benches and tests use them: read from ../shared/data into the same columns that the log gives, without a log in between."""
