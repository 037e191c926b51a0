"""Shipped to users: a tiny world, an injected clock, checks for custom parts."""
