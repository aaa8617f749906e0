"""What a run says first: with which settings it measures.  Without options
these are what a user gets, so that nobody takes a tuned figure for another."""

# What --cpu= takes: qemu's -cpu, and what it means for the figures.  qemu
# emulates crc32 (of sse4.2), pclmulqdq and aes slowly.  Without them libraries
# take other code, so that less of the emulator is measured.
PROCESSORS = {
    "tables": ("max,-sse4.2,-pclmulqdq",
               "checksums by tables; ciphers by emulated AES instructions"),
    "plain": ("max,-sse4.2,-pclmulqdq,-aes",
              "checksums by tables; ciphers without AES instructions"),
    "full": ("max", "checksums and ciphers by emulated instructions"),
}


def started(options):
    """How rswap and nbdkit are started."""
    if options.suite in ("vm", "tuning"):
        start = "as rswapctl attach starts it"
        start += ", rswap-nbd with encrypt=off" if options.suite == "tuning" else ""
    elif options.suite in ("host", "raw", "copies", "faults"):
        start = "as a user starts it: nbdkit without -t, rswap without lanes="
    elif options.suite == "instructions":
        return ("instructions outside the kernel, of the whole process of the "
                "front end; nbdkit without -t, rswap without lanes=, spin=0")
    else:
        return ""
    tuned = [f"-t {options.threads} for nbdkit"] if options.threads else []
    tuned += options.keys
    if not tuned:
        return f"{start} (defaults)"
    return "TUNED, not what a user gets: " + ", ".join(tuned)


def processor(options):
    if not options.cpu:
        return ""
    model, meaning = PROCESSORS[options.cpu]
    return f"the guest's processor is {model}, where emulated: {meaning}"


def head(options):
    """One line; empty where there is nothing to say."""
    return "; ".join(filter(None, (started(options), processor(options))))
