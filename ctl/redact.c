#include "redact.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Shorter hexadecimal words are no keys: a key has 64 digits. */
#define KEY_DIGITS 32

#define HEX    "0123456789abcdefABCDEF"
#define DIGITS "0123456789"
#define HOST_CHARS                                                             \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

#define HOST_MAX 253 /* DNS */

/* A word that was taken out; names of hosts are the same in capitals. */
struct word {
	const char *text; /* of N bytes */
	size_t n;
	size_t number; /* from 1 on */
};

/* Words, by tsearch(3): a server's status may have thousands of hosts. */
struct seen {
	void *tree;
	size_t n;
};

struct redact {
	bool keep_addresses;
	struct seen hosts_known; /* whose numbers mean nothing */
	struct seen addresses, hardware, hosts;
};

struct redact *redact_new(bool keep_addresses)
{
	struct redact *redact = calloc(1, sizeof *redact);

	if (redact)
		redact->keep_addresses = keep_addresses;
	return redact;
}

void redact_free(struct redact *redact)
{
	if (!redact)
		return;
	tdestroy(redact->hosts_known.tree, free);
	tdestroy(redact->addresses.tree, free);
	tdestroy(redact->hardware.tree, free);
	tdestroy(redact->hosts.tree, free);
	free(redact);
}

static int by_text(const void *a, const void *b)
{
	const struct word *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return strncasecmp(x->text, y->text, x->n);
}

/* The number of the text; 0: it was not seen. */
static size_t number_of(const struct seen *seen, const char *text, size_t n)
{
	const struct word key = { text, n, 0 };
	struct word *const *found = tfind(&key, &seen->tree, by_text);

	return found ? (*found)->number : 0;
}

/* The same, and from now on it was seen; 0 without memory. */
static size_t remember(struct seen *seen, const char *text, size_t n)
{
	size_t number = number_of(seen, text, n);
	struct word *word;

	if (number)
		return number;
	word = malloc(sizeof *word + n);
	if (!word)
		return 0;
	*word = (struct word){ memcpy(word + 1, text, n), n, seen->n + 1 };
	if (tsearch(word, &seen->tree, by_text))
		return ++seen->n;
	free(word);
	return 0;
}

/* --- what a text begins with: how many bytes, or 0 --- */

static size_t key_at(const char *text)
{
	size_t n = strspn(text, HEX);

	return n >= KEY_DIGITS ? n : 0;
}

/* Copies N bytes to WORD, if they fit. */
static bool cut(char *word, size_t size, const char *text, size_t n)
{
	if (n >= size)
		return false;
	memcpy(word, text, n);
	word[n] = '\0';
	return true;
}

/* Without a dot that ends a sentence. */
static size_t span(const char *text, const char *accept)
{
	size_t n = strspn(text, accept);

	while (n && text[n - 1] == '.')
		n--;
	return n;
}

static size_t ipv4_at(const char *text, bool *plain)
{
	char word[INET_ADDRSTRLEN];
	struct in_addr address;
	size_t n = span(text, DIGITS ".");

	if (!cut(word, sizeof word, text, n) ||
	    inet_pton(AF_INET, word, &address) != 1)
		return 0;
	*plain = address.s_addr == 0 || ntohl(address.s_addr) >> 24 == 127;
	return n;
}

static size_t ipv6_at(const char *text, bool *plain)
{
	char word[INET6_ADDRSTRLEN];
	struct in6_addr address;
	size_t n = span(text, HEX ":.");

	/* "server 2001:db8::1: it is down" */
	if (n > 1 && text[n - 1] == ':' && text[n - 2] != ':')
		n--;
	if (!cut(word, sizeof word, text, n) ||
	    inet_pton(AF_INET6, word, &address) != 1)
		return 0;
	*plain = IN6_IS_ADDR_LOOPBACK(&address) ||
		 IN6_IS_ADDR_UNSPECIFIED(&address);
	return n;
}

/* Bytes with colons between: 6 of Ethernet, 20 of InfiniBand. */
static size_t hardware_at(const char *text)
{
	size_t n = 0, bytes = 0;

	while (strspn(text + n, HEX) == 2) {
		n += 2;
		bytes++;
		if (text[n] != ':')
			break;
		n++;
	}
	return bytes >= 6 && text[n - 1] != ':' ? n : 0;
}

/* Whether a port stands there, and not the minutes of a time. */
static bool port_at(const char *text)
{
	size_t digits;
	char behind;

	if (*text != ':')
		return false;
	digits = strspn(text + 1, DIGITS);
	behind = text[1 + digits];
	return digits >= 2 && digits <= 5 && behind != ':' &&
	       !isalnum((unsigned char)behind);
}

static bool has_letter(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (isalpha((unsigned char)text[i]))
			return true;
	}
	return false;
}

/* Of "mem1.corp.example" as much as is a known host: "mem1", if that is one. */
static size_t known_at(const struct redact *redact, const char *text, size_t n)
{
	for (size_t i = 1; i <= n; i++) {
		if ((i == n || text[i] == '.') &&
		    number_of(&redact->hosts_known, text, i))
			return i;
	}
	return 0;
}

/* Whether TEXT is what follows the host in "rswap-nbd@HOST/PID", the name that
 * a client gives its session. */
static bool process_at(const char *text)
{
	size_t digits = *text == '/' ? strspn(text + 1, DIGITS) : 0;

	return digits && !isalnum((unsigned char)text[1 + digits]);
}

/* Of the bytes *NAMED are the host's name, and the others its domain.  IN_NAME:
 * after an @. */
static size_t host_at(const struct redact *redact, const char *text,
		      bool in_name, size_t *named)
{
	size_t n = span(text, HOST_CHARS);

	if (n == 0 || n > HOST_MAX)
		return 0;
	*named = known_at(redact, text, n);
	if (*named)
		return n;
	*named = n;
	if (in_name && process_at(text + n))
		return n;
	return has_letter(text, n) && port_at(text + n) &&
			       strncasecmp(text, "localhost:", 10) != 0
		       ? n
		       : 0;
}

/* --- taking out --- */

static size_t replace(struct seen *seen, const char *what, const char *text,
		      size_t n, FILE *out)
{
	fprintf(out, "%s-%zu", what, remember(seen, text, n));
	return n;
}

/* An address or a host that TEXT begins with; a word begins there as well.
 * IN_NAME: after an @. */
static size_t take_machine(struct redact *redact, const char *text,
			   bool in_name, FILE *out)
{
	bool plain = false;
	size_t n = hardware_at(text), named;

	if (n)
		return replace(&redact->hardware, "hardware-address", text, n,
			       out);
	n = ipv6_at(text, &plain);
	if (!n)
		n = ipv4_at(text, &plain);
	if (n && plain)
		return fwrite(text, 1, n, out);
	if (n)
		return replace(&redact->addresses, "address", text, n, out);
	n = host_at(redact, text, in_name, &named);
	if (n)
		replace(&redact->hosts, "host", text, named, out);
	return n;
}

void redact_host(struct redact *redact, const char *name)
{
	size_t n = span(name, HOST_CHARS);

	if (n && n <= HOST_MAX && has_letter(name, n) &&
	    (n != strlen("localhost") || strncasecmp(name, "localhost", n)))
		remember(&redact->hosts_known, name, n);
}

void redact_write(struct redact *redact, const char *text, FILE *out)
{
	bool in_word = false, in_name = false;

	while (*text) {
		size_t n = key_at(text);

		if (n) {
			fputs("[key]", out);
		} else if (!in_word && !redact->keep_addresses) {
			n = take_machine(redact, text, in_name, out);
		}
		in_name = !n && *text == '@';
		in_word = n || isalnum((unsigned char)*text);
		if (!n) {
			fputc(*text, out);
			n = 1;
		}
		text += n;
	}
}
