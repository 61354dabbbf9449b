#include "forge/marker.h"

#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"

/* Each field as "LENGTH:TEXT\n" (a netstring but for its end): no text can look like two. */
char *marker_make(const struct marker_parts *parts, char out[static MARKER_SIZE])
{
	const char *const fields[] = {"byoci-marker-1", parts->proposal, parts->approved, parts->merge, parts->kind};
	char digest[CRYPTO_SHA256_HEX];
	struct buf text;

	buf_init(&text, (size_t)1 << 30);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		const char *field = fields[i] ? fields[i] : "";

		if (buf_printf(&text, "%zu:%s\n", strlen(field), field) < 0)
			err_fatal("a marker over a text of %zu bytes", strlen(field));
	}
	crypto_sha256(text.data, text.length, digest);
	buf_release(&text);
	memcpy(out, digest, MARKER_SIZE - 1);
	out[MARKER_SIZE - 1] = '\0';
	return out;
}
