"""What the suites of bench/run share, one idea in each module."""
