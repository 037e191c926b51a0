"""Features: a view is a function of (entity, time) over the events that were available before that time."""
