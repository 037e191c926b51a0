"""Events: from the wire or a file to the durable log, and from the log to columns. The log is the source of truth."""
