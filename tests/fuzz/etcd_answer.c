/* What etcd answers (pool/etcd/answer.c). */
#include <string.h>

#include "etcd/answer.h"
#include "fuzz.h"

static void check_kv(const struct etcd_kv *kv)
{
	REQUIRE(*kv->key);
	/* the strings end */
	REQUIRE(strlen(kv->key) + strlen(kv->value) < ETCD_ANSWER_MAX_BYTES);
}

static void check(const struct etcd_answer *answer)
{
	size_t length = strnlen(answer->message, sizeof answer->message);

	REQUIRE(!answer->n == !answer->kvs);
	for (unsigned i = 0; i < answer->n; i++)
		check_kv(&answer->kvs[i]);
	REQUIRE(!answer->n || answer->last);
	REQUIRE(!answer->last ||
		(answer->last_bytes && !answer->last[answer->last_bytes]));
	REQUIRE(length < sizeof answer->message);
	for (size_t i = 0; i < length; i++)
		REQUIRE(answer->message[i] >= 0x20 &&
			answer->message[i] < 0x7f);
	/* an error is nothing else */
	REQUIRE(answer->code == ETCD_OK ||
		(!answer->n && !answer->token && !answer->revision));
	REQUIRE(answer->code == ETCD_OK || length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The parser is told the size, and needs no NUL. */
	char *text = malloc(size);
	struct etcd_answer answer;
	struct error why = { "" };

	REQUIRE(text || !size);
	if (size)
		memcpy(text, data, size);
	if (!etcd_answer_parse(text, size, &answer, &why)) {
		check(&answer);
		etcd_answer_free(&answer);
	} else {
		REQUIRE(*why.text);
	}
	REQUIRE(!answer.n && !answer.kvs && !answer.last && !answer.token);
	free(text);
	return 0;
}
