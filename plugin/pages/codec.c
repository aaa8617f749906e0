/* Encoding and decoding runs of pages, for every codec. */
#include "codec.h"

#include "seal.h"

void codec_destroy(struct codec *codec)
{
	checksums_destroy(&codec->checksums);
	generations_destroy(&codec->generations);
	sealer_destroy(codec->sealer);
	*codec = (struct codec){ 0 };
}

uint64_t codec_memory_bytes(const struct codec *codec)
{
	return codec->checksums.pages * sizeof *codec->checksums.sums +
	       codec->generations.pages * sizeof *codec->generations.of;
}

const char *codec_cipher(const struct codec *codec)
{
	return codec->sealer ? sealer_cipher(codec->sealer) : "none";
}

bool codec_encode(const struct codec *codec, uint32_t lane, uint64_t page,
		  uint32_t n, const uint8_t *bytes, uint8_t *units,
		  uint64_t *generation)
{
	*generation = 0;
	if (codec->direct)
		return true;
	*generation = codec->ops->take(codec, n);
	if (*generation == 0)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!codec->ops->encode(codec, lane, page + i, *generation + i,
					bytes + (uint64_t)i * PAGE_BYTES,
					units + codec_bytes(codec, i)))
			return false;
	}
	return true;
}

void codec_keep(struct codec *codec, uint64_t page, uint32_t n,
		uint64_t generation, const uint8_t *units)
{
	for (uint32_t i = 0; i < n; i++)
		codec->ops->keep(codec, page + i, generation + i,
				 units + codec_bytes(codec, i));
}

uint32_t codec_decode(const struct codec *codec, uint32_t lane, uint64_t page,
		      uint32_t n, const uint8_t *units, uint8_t *bytes)
{
	uint32_t i = 0;

	while (i < n && codec->ops->decode(codec, lane, page + i,
					   units + codec_bytes(codec, i),
					   bytes + (uint64_t)i * PAGE_BYTES))
		i++;
	return i;
}
