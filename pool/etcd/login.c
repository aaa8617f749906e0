#include "login.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "secretfile.h"

#define FILE_BYTES_MAX 1024

static int parse(char *text, struct login *login, struct error *why)
{
	char *colon = strchr(text, ':');
	char *password = colon ? colon + 1 : text;

	text[strcspn(text, "\r\n")] = '\0';
	if (!colon || colon == text || !*password ||
	    colon - text >= (long)sizeof login->user ||
	    strlen(password) >= sizeof login->password) {
		error_set(why, "it must have one line, USER:PASSWORD");
		return -EINVAL;
	}
	*colon = '\0';
	snprintf(login->user, sizeof login->user, "%s", text);
	snprintf(login->password, sizeof login->password, "%s", password);
	return 0;
}

int login_read(const char *path, struct login *login, struct error *why)
{
	char *text;
	size_t bytes;
	int rc = secretfile_read(path, FILE_BYTES_MAX, &text, &bytes, why);

	if (rc)
		return rc;
	rc = parse(text, login, why);
	secretfile_free(text, bytes);
	return rc;
}
