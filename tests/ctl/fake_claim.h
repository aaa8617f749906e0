/* An exclusive open of the block device NAME, which is a lock of a file here.
 * The descriptor, or a negative errno. */
int fake_claim(const char *name);
