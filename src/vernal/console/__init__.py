"""Console: the pages a person opens."""
