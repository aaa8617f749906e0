/* Modules of the kernel. */
#ifndef RSWAPCTL_MODULE_H
#define RSWAPCTL_MODULE_H

#include <stdbool.h>

/* Loaded, or built in with parameters. */
bool module_loaded(const char *name);

/* There as a file, or built in. */
bool module_available(const char *name);

#endif
