/* The sealed codec: a unit is the sealed page, and the page's generation stays
 * on this machine. */
#include "codec.h"
#include "seal.h"

static uint64_t take(const struct codec *codec, uint32_t n)
{
	return sealer_take(codec->sealer, n);
}

static bool encode(const struct codec *codec, uint32_t lane, uint64_t page,
		   uint64_t generation, const uint8_t *bytes, uint8_t *unit)
{
	return seal_page(codec->sealer, lane, page, generation, bytes, unit);
}

static void keep(struct codec *codec, uint64_t page, uint64_t generation,
		 const uint8_t *unit)
{
	(void)unit;
	generations_set(&codec->generations, page, generation);
}

static bool decode(const struct codec *codec, uint32_t lane, uint64_t page,
		   const uint8_t *unit, uint8_t *bytes)
{
	return seal_open(codec->sealer, lane, page,
			 generations_get(&codec->generations, page), unit,
			 bytes);
}

static const struct codec_ops sealed = {
	.take = take,
	.encode = encode,
	.keep = keep,
	.decode = decode,
};

int codec_create_sealed(struct codec *codec, const struct codec_config *config,
			struct error *why)
{
	int rc;

	*codec = (struct codec){
		.ops = &sealed,
		.unit_bytes = SEAL_UNIT_BYTES,
	};
	rc = sealer_create(&codec->sealer, config->lanes, why);
	return rc ? rc
		  : generations_create(&codec->generations, config->pages, why);
}
