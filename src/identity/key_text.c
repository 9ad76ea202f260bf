/* Making and reading the text of a key. Called by the keyring (every presented credential passes
 * here first) and by whatever must not let a key through in a URL. The checksum is no secret and no
 * proof; it spares the table a look-up for a mistyped key and lets scanners of leaked secrets be
 * sure. */
#include "identity/key_text.h"

#include "base/encode.h"

static const struct slice prefix = SLICE("sp_");

enum {
    ID_AT = 3,
    SECRET_AT = ID_AT + KEY_ID_LEN + 1,
    CHECKSUM_AT = SECRET_AT + KEY_SECRET_LEN,
};
_Static_assert(CHECKSUM_AT + KEY_CHECKSUM_LEN == KEY_LEN, "the parts make up the whole");

/* Of all that stands before it, as six base62 digits: 62^6 is more than 2^32. */
static void print_checksum(const char *text, char out[KEY_CHECKSUM_LEN])
{
    base62_print(crc32_of(slice_make(text, CHECKSUM_AT)), out, KEY_CHECKSUM_LEN);
}

bool key_id_shaped(struct slice id)
{
    return id.len == KEY_ID_LEN && base62_valid(id);
}

enum err key_text_parse(struct slice text, struct key_text *parts)
{
    if (text.len != KEY_LEN || !slice_starts(text, prefix) || text.ptr[SECRET_AT - 1] != '_')
        return ERR_SYNTAX;
    struct slice id = slice_make(text.ptr + ID_AT, KEY_ID_LEN);
    struct slice tail = slice_from(text, SECRET_AT);
    if (!base62_valid(id) || !base62_valid(tail))
        return ERR_SYNTAX;
    char checksum[KEY_CHECKSUM_LEN];
    print_checksum(text.ptr, checksum);
    if (!slice_equal(slice_from(text, CHECKSUM_AT), slice_make(checksum, sizeof checksum)))
        return ERR_SYNTAX;
    *parts = (struct key_text){id, slice_to(tail, KEY_SECRET_LEN)};
    return OK;
}

enum err key_text_make(struct secret *plain)
{
    char text[KEY_LEN];
    memcpy(text, prefix.ptr, prefix.len);
    base62_random(text + ID_AT, KEY_ID_LEN);
    text[SECRET_AT - 1] = '_';
    base62_random(text + SECRET_AT, KEY_SECRET_LEN);
    print_checksum(text, text + CHECKSUM_AT);
    enum err err = secret_set(plain, slice_make(text, sizeof text));
    explicit_bzero(text, sizeof text);
    return err;
}

bool api_key_shaped(struct slice text)
{
    struct key_text parts;
    return key_text_parse(text, &parts) == OK;
}
