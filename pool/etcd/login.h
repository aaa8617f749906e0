/* A file with the user and the password for etcd: one line, USER:PASSWORD.  As
 * with a file of keys, nobody else may read it.  Any thread. */
#ifndef RSWAP_ETCD_LOGIN_H
#define RSWAP_ETCD_LOGIN_H

#include "error.h"

struct login {
	char user[128];
	char password[256];
};

/* 0 or a negative errno; WHY does not name the file, and has no password in
 * it. */
int login_read(const char *path, struct login *login, struct error *why);

#endif
