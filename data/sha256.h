/* sha256.h: SHA-256 (FIPS 180-4), for identifiers that must not be led back to what they stand for.
 *
 * Calls: nothing. Called by: import.
 */
#ifndef ICH_DATA_SHA256_H
#define ICH_DATA_SHA256_H

#include <stddef.h>
#include <stdint.h>

void ich_sha256(const void *bytes, size_t count, uint8_t digest[32]);

/* The first eight bytes of a text's digest, as a number and as 16 hexadecimal digits. */
uint64_t ich_sha256_text(const char *text);
void ich_sha256_hex(const char *text, char hex[17]);

#endif
