"""Whether the timings of a GPU can be trusted, and the settings that they need."""
