/* A file of keys (common/pskfile.c). */
#include <string.h>

#include "fuzz.h"
#include "pskfile.h"

static void check(const struct pskfile *file)
{
	struct error why;

	REQUIRE(file->n >= 1 && file->n <= PSKFILE_KEYS_MAX);
	for (unsigned i = 0; i < file->n; i++) {
		const struct psk *psk = &file->keys[i];

		REQUIRE(psk_name_ok(psk->name));
		REQUIRE(psk->key_bytes >= PSK_KEY_MIN &&
			psk->key_bytes <= PSK_KEY_MAX);
		/* no name twice */
		REQUIRE(pskfile_find(file, psk->name) == psk);
	}
	REQUIRE(!pskfile_choose(file, NULL, &why) == (file->n != 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size);
	struct pskfile file;
	struct error why = { "" };

	REQUIRE(text || !size);
	if (size)
		memcpy(text, data, size);
	if (!pskfile_parse(text, size, &file, &why)) {
		check(&file);
		pskfile_free(&file);
	} else {
		/* one line, that shows no byte of the file that is no word */
		REQUIRE(*why.text && !strchr(why.text, '\n'));
	}
	REQUIRE(!file.n && !file.keys);
	free(text);
	return 0;
}
