/* Command lines: each line of the input is an argument of rswap-memserver, and
 * of a program that has an option of each kind. */
#include <string.h>

#include "cmdline.h"
#include "config.h"
#include "fuzz.h"

#define WORDS_MAX 40

static struct {
	bool flag;
	const char *text, *choice, *key;
	unsigned number;
	uint64_t bytes;
} args;

static bool take_other(const char *value, struct error *why)
{
	error_set(why, "an x");
	return *value == 'x';
}

static const struct option_spec specs[] = {
	{ .name = "flag", .help = "a", .out.flag = &args.flag },
	{ .name = "text",
	  .metavar = "T",
	  .help = "b",
	  .kind = OPTION_TEXT,
	  .out.text = &args.text },
	{ .name = "choice",
	  .metavar = "a|b",
	  .help = "c",
	  .kind = OPTION_CHOICE,
	  .choices = "a|b",
	  .out.text = &args.choice },
	{ .name = "number",
	  .metavar = "N",
	  .help = "d",
	  .kind = OPTION_NUMBER,
	  .min = 1,
	  .max = 9,
	  .out.number = &args.number },
	{ .name = "size",
	  .metavar = "S",
	  .help = "e",
	  .kind = OPTION_SIZE,
	  .min = 1,
	  .max = 1 << 20,
	  .out.bytes = &args.bytes },
	{ .name = "lanes",
	  .metavar = "N",
	  .help = "f",
	  .kind = OPTION_KEY,
	  .key = &keys[KEY_LANES],
	  .out.text = &args.key },
	{ .name = "other",
	  .metavar = "X",
	  .help = "g",
	  .kind = OPTION_OTHER,
	  .out.take = take_other },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "program",
	.args = "[WORD]...",
	.about = "A program.",
	.options = specs,
};

/* A refusal is one line. */
static void check(enum cmdline_verdict verdict, const struct cmdline_error *why)
{
	if (verdict == CMDLINE_WRONG)
		REQUIRE(*why->text && strlen(why->text) < sizeof why->text);
}

static void parse_some(int argc, char **words)
{
	char *argv[WORDS_MAX + 2];
	struct cmdline_error why = { "" };
	enum cmdline_verdict verdict;
	int n_words = 0;

	memcpy(argv, words, ((size_t)argc + 1) * sizeof *argv);
	args.number = 1;
	args.bytes = 1;
	verdict = cmdline_parse(&cmdline, argc, argv, &n_words, &why);
	check(verdict, &why);
	REQUIRE(n_words >= 0 && n_words < argc && !argv[n_words]);
	REQUIRE(args.number >= 1 && args.number <= 9);
	REQUIRE(args.bytes >= 1 && args.bytes <= 1 << 20);
}

static void parse_memserver(int argc, char **words)
{
	char *argv[WORDS_MAX + 2];
	struct cmdline_error why = { "" };
	struct config config;
	enum cmdline_verdict verdict;

	memcpy(argv, words, ((size_t)argc + 1) * sizeof *argv);
	verdict = config_parse(argc, argv, &config, &why);
	check(verdict, &why);
	if (verdict != CMDLINE_RUN)
		return;
	REQUIRE(config.slab_bytes >= 1 << 20 && config.slab_bytes <= 1 << 30);
	REQUIRE(config.memory_bytes >= config.slab_bytes &&
		config.memory_bytes % config.slab_bytes == 0);
	REQUIRE(config.listen_count >= 1 &&
		config.listen_count <= CONFIG_LISTEN_MAX);
	REQUIRE(config.threads >= 1 && config.max_sessions >= 1);
	REQUIRE(wire_name_ok(config.zone));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size), *at = text;
	char program[] = "program", *words[WORDS_MAX + 2] = { program };
	int n = 1;

	while (n <= WORDS_MAX && (words[n] = text_line(&at)))
		n++;
	words[n] = NULL;
	parse_some(n, words);
	parse_memserver(n, words);
	free(text);
	return 0;
}
