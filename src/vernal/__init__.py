"""Vernal: recommendations from raw events and a catalogue, in one program that never goes stale."""

__version__ = "0.1.0"
