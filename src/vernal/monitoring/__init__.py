"""Is the world still as usual? Mergeable summaries, evidence under one false-alarm promise, and alarms in one sentence."""
