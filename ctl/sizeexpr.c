#include "sizeexpr.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "size.h"

#define MIB (UINT64_C(1) << 20)

/* Of parentheses; each takes some of the stack. */
#define DEPTH_MAX 32

struct parse {
	const char *at;
	double ram;
	int depth;
	const char *wrong; /* where it is not understood, or NULL */
	bool no_number;	   /* divided by 0 */
};

static double sum(struct parse *p);

/* Takes WORD, and the space in front.  A word of letters ends there. */
static bool take(struct parse *p, const char *word)
{
	size_t n = strlen(word);

	p->at += strspn(p->at, " \t");
	if (strncmp(p->at, word, n) ||
	    (isalpha((unsigned char)*word) && isalnum((unsigned char)p->at[n])))
		return false;
	p->at += n;
	return true;
}

/* Whatever follows makes no sense any more, so nothing is left of it. */
static double give_up(struct parse *p)
{
	if (!p->wrong)
		p->wrong = p->at;
	p->at = "";
	return 0;
}

/* "1.5": strtod would take "inf", "0x1p3" and what the locale has. */
static double digits(struct parse *p)
{
	double value = 0, scale = 1;

	for (; isdigit((unsigned char)*p->at); p->at++)
		value = value * 10 + (*p->at - '0');
	if (*p->at != '.')
		return value;
	for (p->at++; isdigit((unsigned char)*p->at); p->at++) {
		scale /= 10;
		value += (*p->at - '0') * scale;
	}
	return value;
}

static double number(struct parse *p)
{
	static const char units[] = "KMGT";
	double value = digits(p);
	const char *unit;

	if (!isalpha((unsigned char)*p->at))
		return value;
	unit = strchr(units, toupper((unsigned char)*p->at));
	if (!unit || isalnum((unsigned char)p->at[1]))
		return give_up(p);
	p->at++;
	for (; unit >= units; unit--)
		value *= 1024;
	return value;
}

/* What stands in parentheses, whose first is taken.  SIGN: 1 takes the largest,
 * -1 the smallest, 0 the only one. */
static double list(struct parse *p, int sign)
{
	double best = sum(p);

	while (sign && take(p, ",")) {
		double next = sum(p);

		if (sign > 0 ? next > best : next < best)
			best = next;
	}
	return take(p, ")") ? best : give_up(p);
}

static double value(struct parse *p)
{
	static const struct {
		const char *word;
		int sign;
	} lists[] = { { "min", -1 }, { "max", 1 } };

	if (take(p, "ram"))
		return p->ram;
	for (size_t i = 0; i < 2; i++) {
		const char *before = p->at;

		if (!take(p, lists[i].word))
			continue;
		if (!take(p, "(")) {
			p->at = before;
			return give_up(p);
		}
		return list(p, lists[i].sign);
	}
	if (take(p, "("))
		return list(p, 0);
	return isdigit((unsigned char)*p->at) ? number(p) : give_up(p);
}

static double product(struct parse *p)
{
	double result = value(p);

	for (;;) {
		if (take(p, "*")) {
			result *= value(p);
		} else if (take(p, "/")) {
			double by = value(p);

			p->no_number = p->no_number || by == 0;
			result /= by == 0 ? 1 : by;
		} else {
			return result;
		}
	}
}

static double sum(struct parse *p)
{
	double result;

	if (++p->depth > DEPTH_MAX)
		return give_up(p);
	result = product(p);
	for (;;) {
		if (take(p, "+")) {
			result += product(p);
		} else if (take(p, "-")) {
			result -= product(p);
		} else {
			p->depth--;
			return result;
		}
	}
}

/* False with WHY: there is no such size. */
static bool is_size(const struct parse *p, double result, struct error *why)
{
	if (p->wrong && *p->wrong)
		error_set(why, "\"%.60s\" is not understood", p->wrong);
	else if (p->wrong)
		error_set(why, "it ends too early");
	else if (p->no_number)
		error_set(why, "it divides by 0");
	else if (!(result >= 0 && result < (double)INT64_MAX))
		error_set(why, "its value is no size");
	else
		return true;
	return false;
}

bool sizeexpr_parse(const char *text, uint64_t ram_bytes, uint64_t *bytes,
		    struct error *why)
{
	struct parse p = { .at = text, .ram = (double)ram_bytes };
	double result;

	if (size_parse(text, bytes))
		return true;
	result = sum(&p);
	p.at += strspn(p.at, " \t");
	if (*p.at)
		give_up(&p);
	if (!is_size(&p, result, why))
		return false;
	*bytes = (uint64_t)result / MIB * MIB;
	return true;
}
