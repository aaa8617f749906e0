/* libcurl, loaded when a program first needs it.  It brings some thirty other
 * libraries with it, which most runs of these programs do without, and which a
 * daemon that keeps other machines' memory better does not have. */
#ifndef RSWAP_ETCD_CURL_H
#define RSWAP_ETCD_CURL_H

/* Its macros that check types call functions by name. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "error.h"

/* The functions of libcurl that are used. */
struct curl_library {
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_global_cleanup) *global_cleanup;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_setopt) *easy_setopt;
	__typeof__(curl_easy_getinfo) *easy_getinfo;
	__typeof__(curl_easy_strerror) *easy_strerror;
	__typeof__(curl_multi_init) *multi_init;
	__typeof__(curl_multi_cleanup) *multi_cleanup;
	__typeof__(curl_multi_add_handle) *multi_add_handle;
	__typeof__(curl_multi_remove_handle) *multi_remove_handle;
	__typeof__(curl_multi_perform) *multi_perform;
	__typeof__(curl_multi_info_read) *multi_info_read;
	__typeof__(curl_multi_poll) *multi_poll;
	__typeof__(curl_multi_wakeup) *multi_wakeup;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free_all;
};

/* Loads it, for the rest of the process.  Before any other thread runs, and
 * before system calls are filtered.  0, or -ENOENT with WHY. */
int curl_load(struct curl_library *library, struct error *why);

#endif
