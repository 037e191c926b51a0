"""Ranking: candidates to scores, scores to a slate with exact propensities, and true reasons."""
