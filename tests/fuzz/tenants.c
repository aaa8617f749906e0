/* A file of tenants (memserver/tenants/tenantfile.c). */
#include <string.h>

#include "fuzz.h"
#include "tenants/tenantfile.h"

static void check_limits(const struct tenant_limits *l)
{
	REQUIRE(l->guaranteed_bytes <= l->memory_bytes);
	REQUIRE(l->weight >= 1 && l->weight <= TENANT_WEIGHT_MAX);
	REQUIRE(l->sessions == TENANT_ANY ||
		l->sessions <= TENANTFILE_SESSIONS_MAX);
	REQUIRE(l->lanes == TENANT_ANY || l->lanes <= TENANTFILE_LANES_MAX);
}

static void check(const struct tenantfile *file)
{
	REQUIRE(file->n <= TENANTFILE_LINES_MAX);
	if (file->has_others) {
		check_limits(&file->others);
		REQUIRE(!file->others.guaranteed_bytes);
	}
	for (unsigned i = 0; i < file->n; i++) {
		struct tenantfile_line *line = &file->lines[i];

		REQUIRE(strnlen(line->name, sizeof line->name) <
			sizeof line->name);
		REQUIRE(wire_name_ok(line->name) && strcmp(line->name, "*"));
		check_limits(&line->limits);
		/* no name twice */
		REQUIRE(tenantfile_line(file, line->name) == line);
		REQUIRE(tenantfile_find(file, line->name) == &line->limits);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size);
	struct tenantfile file = { 0 };
	struct error why = { "" };

	REQUIRE(text || !size);
	if (size)
		memcpy(text, data, size);
	if (!tenantfile_parse(text, size, &file, &why))
		check(&file);
	else
		REQUIRE(*why.text && !file.n && !file.lines);
	tenantfile_free(&file);
	free(text);
	return 0;
}
