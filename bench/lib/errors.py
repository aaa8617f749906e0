"""The two ways in which a run ends without results."""


class Failed(Exception):
    """Something could not be run at all."""


class Rejected(Exception):
    """It ran, but data was wrong or requests failed: its figures are void."""
