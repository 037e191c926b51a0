"""The request pipeline, its HTTP API, who may call it, and the processes that run it."""
