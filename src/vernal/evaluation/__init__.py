"""Evaluation: splits in time, ranking metrics over the full catalogue, paired intervals."""
