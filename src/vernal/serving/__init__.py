"""Serving: a request to an answer within its deadline, over HTTP, with every slate logged."""
