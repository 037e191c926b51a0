"""Replay: any past answer again, byte for byte."""
