"""Training: a snapshot of the log to a release."""
