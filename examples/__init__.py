"""Labs to look at, and the demo that shows one."""
