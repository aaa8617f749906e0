#include "cells.h"

#include <stdio.h>

static struct cell cell_of(struct word word)
{
	struct cell cell;

	snprintf(cell.text, sizeof cell.text, "%s", word.text);
	return cell;
}

static struct cell none(void)
{
	return (struct cell){ "-" };
}

struct cell cell_text(struct json_object *answer, const char *path)
{
	struct cell cell;

	return answer_text(answer, path, cell.text, sizeof cell.text) ? cell
								      : none();
}

struct cell cell_bytes(struct json_object *answer, const char *path)
{
	return answer_at(answer, path)
		       ? cell_of(words_bytes(answer_number(answer, path)))
		       : none();
}

struct cell cell_latency(struct json_object *answer, const char *path)
{
	return answer_at(answer, path)
		       ? cell_of(words_latency(answer_real(answer, path)))
		       : none();
}

struct cell cell_ago(struct json_object *answer, const char *path)
{
	return answer_at(answer, path)
		       ? cell_of(words_ago(answer_number(answer, path)))
		       : none();
}
