/* The identity: a unit is the page. */
#include "codec.h"

static void keep_nothing(struct codec *codec, uint64_t page,
			 uint64_t generation, const uint8_t *unit)
{
	(void)codec;
	(void)page;
	(void)generation;
	(void)unit;
}

static bool decode_unseen(const struct codec *codec, uint32_t lane,
			  uint64_t page, const uint8_t *unit, uint8_t *bytes)
{
	(void)codec;
	(void)lane;
	(void)page;
	(void)unit;
	(void)bytes;
	return true;
}

static void keep_checksum(struct codec *codec, uint64_t page,
			  uint64_t generation, const uint8_t *unit)
{
	(void)generation;
	checksums_set(&codec->checksums, page, checksum_page(unit));
}

static bool decode_checked(const struct codec *codec, uint32_t lane,
			   uint64_t page, const uint8_t *unit, uint8_t *bytes)
{
	(void)lane;
	(void)bytes;
	return checksums_get(&codec->checksums, page) == checksum_page(unit);
}

static const struct codec_ops identity = {
	.keep = keep_nothing,
	.decode = decode_unseen,
};

static const struct codec_ops checked_identity = {
	.keep = keep_checksum,
	.decode = decode_checked,
};

int codec_create_identity(struct codec *codec,
			  const struct codec_config *config, struct error *why)
{
	*codec = (struct codec){
		.ops = config->checksum ? &checked_identity : &identity,
		.unit_bytes = PAGE_BYTES,
		.direct = true,
	};
	return config->checksum
		       ? checksums_create(&codec->checksums, config->pages, why)
		       : 0;
}
