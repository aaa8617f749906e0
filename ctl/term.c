#include "term.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Where the terminal does not tell. */
#define COLUMNS 80
#define ROWS	24

/* As xterm has them, and everything since. */
#define OTHER_SCREEN "\033[?1049h\033[?25l" /* and no cursor */
#define USUAL_SCREEN "\033[?1049l\033[?25h"
#define HOME	     "\033[H"
#define REVERSE	     "\033[7m"
#define PLAIN	     "\033[m"
#define CLEAR_LINE   "\033[K"
#define CLEAR_BELOW  "\033[J"

static struct termios before;
static bool is_open, has_keys;

static void on_resize(int sig)
{
	(void)sig; /* it ends the wait for a key */
}

void term_open(void)
{
	struct sigaction resize = { .sa_handler = on_resize };
	struct termios raw;

	has_keys = tcgetattr(STDIN_FILENO, &before) == 0;
	if (has_keys) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		/* stopped, it would leave this screen behind */
		raw.c_cc[VSUSP] = _POSIX_VDISABLE;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	sigaction(SIGWINCH, &resize, NULL);
	is_open = true;
	atexit(term_close);
	fputs(OTHER_SCREEN, stdout);
	fflush(stdout);
}

void term_close(void)
{
	if (!is_open)
		return;
	is_open = false;
	fputs(USUAL_SCREEN, stdout);
	fflush(stdout);
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static struct winsize size(void)
{
	struct winsize now;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) || now.ws_col == 0 ||
	    now.ws_row == 0)
		now = (struct winsize){ .ws_col = COLUMNS, .ws_row = ROWS };
	return now;
}

int term_columns(void)
{
	return size().ws_col;
}

/* The line at TEXT, of which one character takes one column, cut to COLUMNS.
 * Returns what follows. */
static const char *draw_line(const char *text, int columns, FILE *out)
{
	for (int column = 0; *text && *text != '\n'; text++) {
		unsigned char c = (unsigned char)*text;

		/* other than the first byte of a character of UTF-8 */
		column += (c & 0xc0) != 0x80;
		if (column <= columns)
			fputc(c < ' ' || c == 127 ? '?' : c, out);
	}
	fputs(PLAIN CLEAR_LINE, out);
	return *text ? text + 1 : text;
}

void term_draw(const char *text)
{
	struct winsize now = size();
	char *screen = NULL;
	size_t bytes;
	FILE *out = open_memstream(&screen, &bytes);

	if (!out)
		return;
	fputs(HOME REVERSE, out);
	for (int row = 0; row < now.ws_row && *text; row++) {
		if (row)
			fputs("\r\n", out);
		text = draw_line(text, now.ws_col, out);
	}
	fputs(CLEAR_BELOW, out);
	fclose(out);
	fputs(screen, stdout);
	fflush(stdout);
	free(screen);
}

char term_key(unsigned ms)
{
	struct pollfd keys = { .fd = has_keys ? STDIN_FILENO : -1,
			       .events = POLLIN };
	char key = 0;

	if (poll(&keys, 1, (int)ms) == 1 && read(STDIN_FILENO, &key, 1) != 1)
		has_keys = false;
	return key;
}
