#include "base/encode.h"

#include "base/random.h"

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void hex_print(const void *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[at[i] >> 4];
        *out++ = digits[at[i] & 15];
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err hex_parse(struct slice text, void *bytes, size_t size)
{
    unsigned char *out = bytes;
    if (text.len != 2 * size)
        return ERR_SYNTAX;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return ERR_SYNTAX;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return OK;
}

void base62_random(char *out, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char byte;
        random_bytes(&byte, 1);
        /* 248 = 4 x 62: bytes above it would favour the first letters. */
        if (byte < 248)
            out[i++] = base62[byte % 62];
    }
}

void base62_print(uint64_t number, char *out, size_t size)
{
    while (size--) {
        out[size] = base62[number % 62];
        number /= 62;
    }
}

bool base62_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

size_t base64url_size(size_t size)
{
    return (size * 4 + 2) / 3;
}

void base64url_print(const void *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *at = bytes;
    uint32_t bits = 0; /* those that no character stands for yet are the `held` lowest */
    unsigned held = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | at[i];
        for (held += 8; held >= 6;) {
            held -= 6;
            *out++ = digits[bits >> held & 63];
        }
    }
    if (held)
        *out = digits[bits << (6 - held) & 63];
}

/* What both alphabets share; -1: none of it. */
static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    return c >= '0' && c <= '9' ? c - '0' + 52 : -1;
}

/* `last` are the alphabet's digits 62 and 63; `text` has no padding. */
static enum err parse_base64(struct slice text, const char last[2], void *bytes, size_t room,
                             size_t *size)
{
    unsigned char *out = bytes;
    uint32_t bits = 0;
    unsigned held = 0;
    if (text.len % 4 == 1)
        return ERR_SYNTAX;
    *size = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    if (*size > room)
        return ERR_LIMIT;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int digit = c == last[0] ? 62 : c == last[1] ? 63 : base64_digit(c);
        if (digit < 0)
            return ERR_SYNTAX;
        bits = bits << 6 | (unsigned)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = (unsigned char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return bits == 0 ? OK : ERR_SYNTAX;
}

enum err base64url_parse(struct slice text, void *bytes, size_t room, size_t *size)
{
    return parse_base64(text, "-_", bytes, room, size);
}

enum err base64_parse(struct slice text, void *bytes, size_t room, size_t *size)
{
    if (text.len % 4 != 0)
        return ERR_SYNTAX;
    for (int padding = 0; padding < 2 && slice_ends(text, SLICE("=")); padding++)
        text.len--;
    return parse_base64(text, "+/", bytes, room, size);
}

uint32_t crc32_of(struct slice s)
{
    /* The remainders of the sixteen nibbles, as a byte's lower and its upper half. */
    static const uint32_t lower[16] = {
        0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f,
        0xe963a535, 0x9e6495a3, 0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988,
        0x09b64c2b, 0x7eb17cbd, 0xe7b82d07, 0x90bf1d91,
    };
    static const uint32_t upper[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned char)s.ptr[i];
        crc = crc >> 8 ^ lower[crc & 15] ^ upper[crc >> 4 & 15];
    }
    return ~crc;
}
