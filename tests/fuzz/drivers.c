/* Drivers that no input asks for anything, in the place of those that need a
 * kernel. */
#include "driver.h"

const struct driver driver_nbd = { .prefix = "nbd", .numbers = 1024 };
const struct driver driver_ublk = { .prefix = "ublkb", .numbers = 1 << 20 };
