/* What status prints for people: the answers of control sockets, laid out. */
#ifndef RSWAPCTL_PRINT_H
#define RSWAPCTL_PRINT_H

/* ANSWER is "key value" lines; a key that is missing shows as "-". */
void print_plugin(const char *answer, const char *name, const char *device);
void print_memserver(const char *answer, const char *socket);

#endif
