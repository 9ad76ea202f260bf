/* Hexadecimal, base64, base64url and base62, and the CRC-32 that a key's checksum is. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/err.h"
#include "base/slice.h"

/* Writes 2 * size lower-case digits to `out`, without a NUL. */
void hex_print(const void *bytes, size_t size, char *out);
/* Exactly 2 * size digits of either case. ERR_SYNTAX. */
enum err hex_parse(struct slice text, void *bytes, size_t size) MUST_CHECK;

/* Fills `out` with random letters and digits: log2(62) = 5.95 bits each, unbiased. No NUL. */
void base62_random(char *out, size_t size);
/* `size` digits of `number`, most significant first. No NUL. */
void base62_print(uint64_t number, char *out, size_t size);
bool base62_valid(struct slice text);

/* base64url (RFC 4648, section 5) without padding, as RFC 7515 wants it. `size` is below
 * SIZE_MAX / 4. */
size_t base64url_size(size_t size); /* characters for `size` bytes */
/* Writes base64url_size(size) characters to `out`, without a NUL. */
void base64url_print(const void *bytes, size_t size, char *out);
/* Reads the one canonical form: this alphabet only, no padding, no white space, the unused bits of
 * the last character zero, so that no two texts stand for the same bytes. At most `room` bytes are
 * written, `*size` says how many. ERR_SYNTAX; ERR_LIMIT when they would not fit. What `bytes` holds
 * after an error is not to be used. */
enum err base64url_parse(struct slice text, void *bytes, size_t room, size_t *size) MUST_CHECK;

/* base64 (RFC 4648, section 4) with its padding; as strict, and with the same errors. `size` bytes
 * have (size + 2) / 3 * 4 characters. */
enum err base64_parse(struct slice text, void *bytes, size_t room, size_t *size) MUST_CHECK;

/* CRC-32 as zlib and Ethernet have it (polynomial 0xEDB88320). */
uint32_t crc32_of(struct slice s);

#endif
