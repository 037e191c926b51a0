"""Engines: adapters to stores and brokers; nothing here knows another room than the ports and records it implements."""
