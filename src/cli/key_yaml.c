/* Called by key.c. Its one hard problem is that the entry is put into a file by hand: what the file
 * cannot say of a key is refused, so that nobody believes in a limit that is not there. */
#include "cli/key_yaml.h"

#include <string.h>

#include "api/verb.h"
#include "base/clock.h"
#include "identity/api_key.h"
#include "identity/key_text.h"
#include "identity/password.h"

enum { ENTRY_BYTES = 8 * 1024 };

static struct slice text_of(const json_t *request, const char *name)
{
    const json_t *value = json_object_get(request, name);
    return slice_make(json_string_value(value), json_string_length(value));
}

/* NULL: the file can say all of this. */
static json_t *check(const json_t *request, const json_t *scopes)
{
    static const char *const without[] = {"models", "endpoints", "ip_ranges", "rate", "burst"};
    struct slice owner = text_of(request, "owner");
    const json_t *days = json_object_get(request, "expires_in_days");
    for (size_t i = 0; i < COUNT_OF(without); i++)
        if (json_object_get(request, without[i]))
            return verb_refusal("usage", without[i], "%s: an entry of the file of keys has none",
                                without[i]);
    if (json_object_get(request, "permissions") && json_object_get(request, "scopes"))
        return verb_refusal("usage", "scopes", "permissions and scopes exclude each other");
    if (!key_word_valid(text_of(request, "name"), KEY_NAME_BYTES_MAX))
        return verb_refusal("usage", "name",
                            "name: must be 1 to 64 bytes of UTF-8 without control characters");
    if (owner.len && !key_word_valid(owner, KEY_NAME_BYTES_MAX))
        return verb_refusal("usage", "owner",
                            "owner: must be at most 64 bytes of UTF-8 without control characters");
    if (days && (json_integer_value(days) < 1 || json_integer_value(days) > KEY_DAYS_MAX))
        return verb_refusal("usage", "expires_in_days", "expires_in_days: must be 1 to %d",
                            KEY_DAYS_MAX);
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        permissions ignored = PERMISSIONS_NONE;
        const json_t *scope = json_array_get(scopes, i);
        if (scope_parse(slice_make(json_string_value(scope), json_string_length(scope)),
                        &ignored) != OK)
            return verb_refusal("usage", "scopes", "scopes: \"%.64s\" is none",
                                json_string_value(scope));
    }
    return NULL;
}

/* --- the entry ----------------------------------------------------------------------------------
 */

/* YAML's double-quoted form reads JSON's the same, but for these two characters: with one of them
 * in it, as it is, no text is YAML, and the whole file would not be read. */
static void print_quoted(struct buffer *out, struct slice text)
{
    // clang-format off
    static const struct {
        struct slice character;
        const char *escaped;
    } barred[] = {
        {SLICE("\xef\xbf\xbe"), "\\ufffe"},
        {SLICE("\xef\xbf\xbf"), "\\uffff"},
    };
    // clang-format on
    AUTO(buffer) json = BUFFER_MAX(ENTRY_BYTES);
    buffer_json_string(&json, text);
    if (json.failed)
        out->failed = json.failed;
    for (struct slice rest = buffer_slice(&json); rest.len;) {
        size_t i = 0;
        while (i < COUNT_OF(barred) && !slice_starts(rest, barred[i].character))
            i++;
        if (i < COUNT_OF(barred))
            buffer_text(out, barred[i].escaped);
        else
            buffer_byte(out, rest.ptr[0]);
        rest = slice_from(rest, i < COUNT_OF(barred) ? barred[i].character.len : 1);
    }
}

static void print_text(struct buffer *out, const char *name, const char *text)
{
    buffer_printf(out, "    %s: ", name);
    print_quoted(out, slice_of(text));
    buffer_byte(out, '\n');
}

static void print_time(struct buffer *out, const char *name, uint64_t epoch_s)
{
    buffer_printf(out, "    %s: ", name);
    if (epoch_s) {
        buffer_byte(out, '"');
        clock_print_rfc3339(out, epoch_s * SECOND_US);
        buffer_text(out, "\"\n");
    } else {
        buffer_text(out, "null\n");
    }
}

/* What there is none of is left out: an empty text would be a mistake in the file. */
void key_yaml_print(struct buffer *out, const struct file_key *key, const json_t *scopes)
{
    buffer_text(out, "  - key_id: ");
    print_quoted(out, slice_of(key->key_id));
    buffer_byte(out, '\n');
    if (key->public_id[0])
        print_text(out, "public_id", key->public_id);
    print_text(out, "hash", key->hash);
    if (key->owner[0])
        print_text(out, "owner", key->owner);
    buffer_text(out, "    scopes: [");
    for (size_t i = 0; i < json_array_size(scopes); i++) {
        buffer_text(out, i ? ", " : "");
        print_quoted(out, slice_of(json_string_value(json_array_get(scopes, i))));
    }
    buffer_text(out, "]\n");
    print_time(out, "created_at", key->created_epoch_s);
    print_time(out, "expires_at", key->expires_epoch_s);
}

/* --- the verb -----------------------------------------------------------------------------------
 */

/* Of the key that is asked for, with its new id and hash. */
static void print_entry(struct buffer *out, const json_t *request, const json_t *scopes,
                        struct slice id, const char *hash)
{
    char public_id[KEY_ID_LEN + 1] = {0};
    const char *owner = json_string_value(json_object_get(request, "owner"));
    uint64_t now_epoch_s = clock_credential_s();
    json_int_t days = json_integer_value(json_object_get(request, "expires_in_days"));
    memcpy(public_id, id.ptr, KEY_ID_LEN);
    const struct file_key key = {
        .key_id = json_string_value(json_object_get(request, "name")),
        .hash = hash,
        .owner = owner ? owner : "",
        .public_id = public_id,
        .created_epoch_s = now_epoch_s,
        .expires_epoch_s = days ? now_epoch_s + (uint64_t)days * 86400 : 0,
    };
    key_yaml_print(out, &key, scopes);
}

static json_t *make(const json_t *request, const json_t *scopes)
{
    AUTO(secret) plain = {0};
    AUTO(buffer) entry = BUFFER_MAX(ENTRY_BYTES);
    char hash[PASSWORD_STORED_SIZE];
    struct key_text parts;
    if (key_text_make(&plain) != OK)
        return verb_refusal("memory", NULL, "out of memory");
    struct slice text = secret_reveal(&plain);
    invariant(key_text_parse(text, &parts) == OK);
    enum err err = password_hash_bcrypt(text, hash);
    if (err != OK)
        return verb_refusal("memory", NULL, "the key cannot be hashed: %s", err_name(err));
    if (slice_starts(slice_of(hash), SLICE("$2y$")))
        hash[2] = 'b'; /* the same function; 004 and Python's bcrypt write it so */
    print_entry(&entry, request, scopes, parts.id, hash);
    if (entry.failed)
        return verb_refusal("limit", NULL, "the entry is too long: name fewer scopes");
    return json_pack("{s:b, s:{s:s%, s:s%, s:O, s:s, s:s%}}", "ok", 1, "key", "id", parts.id.ptr,
                     parts.id.len, "key", text.ptr, text.len, "name",
                     json_object_get(request, "name"), "hash", hash, "yaml", entry.bytes,
                     entry.len);
}

json_t *key_yaml(const json_t *request)
{
    if (!json_is_true(json_object_get(request, "yaml")))
        return NULL;
    json_t *scopes = json_object_get(request, "scopes");
    if (!scopes)
        scopes = json_object_get(request, "permissions");
    scopes = scopes ? json_incref(scopes) : json_pack("[s]", "chat:read");
    json_t *response = check(request, scopes);
    if (!response)
        response = make(request, scopes);
    json_decref(scopes);
    return response;
}
