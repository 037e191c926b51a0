"""Retrieval: candidates for a user, a query item or nobody in particular, from many cheap sources."""
