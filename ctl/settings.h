/* Settings of the kernel (files of /proc/sys and /sys) that are changed as long
 * as they are needed.  A record, a small file, keeps what was there before, so
 * that rswapctl can put it back later, also after it was killed.  The caller
 * has a lock, so that one process at a time has to do with a record. */
#ifndef RSWAPCTL_SETTINGS_H
#define RSWAPCTL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define SETTINGS_VALUE_MAX 64

/* The value of the setting PATH, of a list ("[none] mq-deadline") the one that
 * is chosen.  False if it can't be read. */
bool settings_read(const char *path, char value[SETTINGS_VALUE_MAX]);

/* The same as a number; 0 where it is none. */
uint64_t settings_number(const char *path);

/* Sets PATH to VALUE, and keeps in RECORD what was there: before the first
 * change, or, where somebody else has set PATH since the last change, before
 * this one.  Does nothing if that is the value already.  1 if it was changed;
 * 0; or a negative errno. */
int settings_change(const char *record, const char *path, const char *value,
		    struct error *why);

/* Puts back all settings of RECORD that still have the value that they were set
 * to: another value is an administrator's, and stays.  Removes the record. TELL
 * gets each one that was put back, with ARG, and may be NULL. */
void settings_put_back(const char *record,
		       void (*tell)(void *arg, const char *path,
				    const char *from, const char *to),
		       void *arg);

#endif
