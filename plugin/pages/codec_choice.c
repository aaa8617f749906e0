/* Which codec there is. */
#include "codec.h"
#include "seal.h"

uint32_t codec_unit_bytes(bool encrypt)
{
	return encrypt ? SEAL_UNIT_BYTES : PAGE_BYTES;
}

int codec_create(struct codec *codec, const struct codec_config *config,
		 struct error *why)
{
	return config->encrypt ? codec_create_sealed(codec, config, why)
			       : codec_create_identity(codec, config, why);
}
