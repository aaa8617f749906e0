/* Where the daemon's log lines go: standard error, in the form that the
 * journal understands when systemd started it. */
#ifndef RSWAP_MEMSERVER_OUTPUT_H
#define RSWAP_MEMSERVER_OUTPUT_H

/* Before the first thread. */
void output_start(void);

/* Lines that peers cause: complaints about one, and the news of sessions.
 * Anybody who reaches the port can cause these, so of each kind only some get
 * through per second; how many did not is said with the next one that does. Any
 * thread. */
__attribute__((format(printf, 1, 2))) void output_peer(const char *format, ...);
__attribute__((format(printf, 1, 2))) void output_news(const char *format, ...);

#endif
