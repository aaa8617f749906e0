#include "codec.h"

static void keep_nothing(struct codec *codec, uint64_t page,
			 const uint8_t *unit)
{
	(void)codec;
	(void)page;
	(void)unit;
}

static bool decode_unseen(const struct codec *codec, uint64_t page,
			  const uint8_t *unit, uint8_t *bytes)
{
	(void)codec;
	(void)page;
	(void)unit;
	(void)bytes;
	return true;
}

static void keep_checksum(struct codec *codec, uint64_t page,
			  const uint8_t *unit)
{
	checksums_set(&codec->checksums, page, checksum_page(unit));
}

static bool decode_checked(const struct codec *codec, uint64_t page,
			   const uint8_t *unit, uint8_t *bytes)
{
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

int codec_create(struct codec *codec, uint64_t pages, bool checksum,
		 struct error *why)
{
	*codec = (struct codec){
		.ops = checksum ? &checked_identity : &identity,
		.unit_bytes = codec_unit_bytes(),
		.direct = true,
	};
	return checksum ? checksums_create(&codec->checksums, pages, why) : 0;
}

void codec_destroy(struct codec *codec)
{
	checksums_destroy(&codec->checksums);
	*codec = (struct codec){ 0 };
}

uint64_t codec_memory_bytes(const struct codec *codec)
{
	return codec->checksums.pages * sizeof *codec->checksums.sums;
}

void codec_encode(const struct codec *codec, uint64_t page, uint32_t n,
		  const uint8_t *bytes, uint8_t *units)
{
	for (uint32_t i = 0; !codec->direct && i < n; i++)
		codec->ops->encode(codec, page + i,
				   bytes + (uint64_t)i * PAGE_BYTES,
				   units + codec_bytes(codec, i));
}

void codec_keep(struct codec *codec, uint64_t page, uint32_t n,
		const uint8_t *units)
{
	for (uint32_t i = 0; i < n; i++)
		codec->ops->keep(codec, page + i,
				 units + codec_bytes(codec, i));
}

uint32_t codec_decode(const struct codec *codec, uint64_t page, uint32_t n,
		      const uint8_t *units, uint8_t *bytes)
{
	uint32_t i = 0;

	while (i < n && codec->ops->decode(codec, page + i,
					   units + codec_bytes(codec, i),
					   bytes + (uint64_t)i * PAGE_BYTES))
		i++;
	return i;
}
