"""What runs in a guest of tests/vm."""
