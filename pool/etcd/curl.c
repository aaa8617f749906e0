#include "curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FUNCTION(name)                                                         \
	{                                                                      \
		"curl_" #name, offsetof(struct curl_library, name)             \
	}

static const struct {
	const char *symbol;
	size_t at;
} functions[] = {
	FUNCTION(global_init),	       FUNCTION(global_cleanup),
	FUNCTION(easy_init),	       FUNCTION(easy_cleanup),
	FUNCTION(easy_setopt),	       FUNCTION(easy_getinfo),
	FUNCTION(easy_strerror),       FUNCTION(multi_init),
	FUNCTION(multi_cleanup),       FUNCTION(multi_add_handle),
	FUNCTION(multi_remove_handle), FUNCTION(multi_perform),
	FUNCTION(multi_info_read),     FUNCTION(multi_poll),
	FUNCTION(multi_wakeup),	       FUNCTION(slist_append),
	FUNCTION(slist_free_all),
};

_Static_assert(sizeof functions / sizeof functions[0] ==
		       sizeof(struct curl_library) / sizeof(void *),
	       "each function has a place in the table");

int curl_load(struct curl_library *library, struct error *why)
{
	/* The library that the headers are of, as the build found it. */
	void *handle = dlopen(RSWAP_CURL_SONAME, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		error_set(why, "talking to etcd takes libcurl: %.200s",
			  dlerror());
		return -ENOENT;
	}
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		void *function = dlsym(handle, functions[i].symbol);

		if (!function) {
			error_set(why, RSWAP_CURL_SONAME " has no %s",
				  functions[i].symbol);
			dlclose(handle);
			return -ENOENT;
		}
		memcpy((char *)library + functions[i].at, &function,
		       sizeof function);
	}
	return 0;
}
