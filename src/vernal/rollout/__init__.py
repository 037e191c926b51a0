"""When to train, whether a release may serve, and the record of both."""
