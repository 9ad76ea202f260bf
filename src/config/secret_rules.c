/* Is a secret one that somebody thought up, or copied? Called at the start, and by whatever checks
 * a configuration. A weak HMAC secret is broken offline from a single token (RFC 8725,
 * section 3.5), so what can be recognised is refused before the first one is signed. */
#include "config/secret_rules.h"

#include "base/err.h"

enum { DIFFERENT_BYTES_MIN = 6 };

#define OF_YOUR_OWN "of your own, not one of a documentation or a common placeholder"

/* Words that give a secret away, compared without case, and without '-', '_', '.' and spaces in
 * between. First: what asks to be replaced, and so is no credential of any kind. */
static const struct slice placeholders[] = {
    SLICE("changeme"), /* "change-me-in-production", "change-me-to-a-secure-random-string" */
    SLICE("changethis"),  SLICE("changeit"),     SLICE("replaceme"),
    SLICE("replacethis"), SLICE("replacewith"),  SLICE("placeholder"),
    SLICE("yoursecure"), /* "your-secure-random-secret-at-least-32-chars", "...-admin-password" */
    SLICE("yoursecret"), /* "your-secret-key" */
    SLICE("yoursuper"),   SLICE("yourjwt"),      SLICE("yourkey"),
    SLICE("yourapikey"), /* "YOUR_API_KEY_HERE" */
    SLICE("yourrandom"),  SLICE("yourpassword"), SLICE("youradmin"),
};

/* What no random secret holds either, though a password may: each row is so long that base64 gives
 * it by chance once in many millions of secrets. */
static const struct slice not_random[] = {
    SLICE("256bit"), /* "your-256-bit-secret", "a-string-secret-at-least-256-bits-long" */
    SLICE("yourown"),      SLICE("atleast32"),     SLICE("secretkey"),  SLICE("secretsecret"),
    SLICE("supersecret"),  SLICE("topsecret"),     SLICE("mysecret"),   SLICE("jwtsecret"),
    SLICE("samplesecret"), SLICE("examplesecret"), SLICE("examplekey"), SLICE("defaultsecret"),
    SLICE("notsosecret"),  SLICE("notasecret"),    SLICE("insecure"),   SLICE("donotuse"),
    SLICE("inproduction"), SLICE("password"),      SLICE("passw0rd"),   SLICE("0123456789"),
    SLICE("1234567890"),   SLICE("abcdefghij"),    SLICE("qwertyuiop"),
};

static bool separator(char c)
{
    return c == '-' || c == '_' || c == '.' || c == ' ';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Does `text` begin with `word`, separators left out? */
static bool begins_with(struct slice text, struct slice word)
{
    size_t matched = 0;
    for (size_t at = 0; at < text.len && matched < word.len; at++) {
        if (separator(text.ptr[at]))
            continue;
        if (lower(text.ptr[at]) != word.ptr[matched])
            return false;
        matched++;
    }
    return matched == word.len;
}

static bool holds_any(struct slice text, const struct slice *words, size_t count)
{
    for (size_t at = 0; at < text.len; at++)
        for (size_t i = 0; i < count; i++)
            if (begins_with(slice_from(text, at), words[i]))
                return true;
    return false;
}

static bool thought_up(struct slice secret)
{
    return holds_any(secret, placeholders, COUNT_OF(placeholders)) ||
           holds_any(secret, not_random, COUNT_OF(not_random));
}

static bool few_different_bytes(struct slice secret)
{
    bool seen[256] = {false};
    unsigned different = 0;
    for (size_t i = 0; i < secret.len; i++) {
        different += !seen[(unsigned char)secret.ptr[i]];
        seen[(unsigned char)secret.ptr[i]] = true;
    }
    return different < DIFFERENT_BYTES_MIN;
}

/* Is it a shorter text, written down twice or more? That text is the real secret, and too short. */
static bool repeats_itself(struct slice secret)
{
    for (size_t period = 1; period < TOKEN_SECRET_BYTES_MIN && 2 * period <= secret.len; period++) {
        size_t rest = secret.len - period;
        if (slice_equal(slice_to(secret, rest), slice_from(secret, period)))
            return true;
    }
    return false;
}

const char *token_secret_fault(struct slice secret)
{
    if (thought_up(secret))
        return "must be a secret " OF_YOUR_OWN;
    if (secret.len < TOKEN_SECRET_BYTES_MIN)
        return "must be at least 32 bytes long";
    if (few_different_bytes(secret) || repeats_itself(secret))
        return "must be random, not a few characters again and again";
    return NULL;
}

/* Of valid UTF-8: every byte but those that continue one. */
static size_t characters(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

const char *admin_password_fault(struct slice password)
{
    if (holds_any(password, placeholders, COUNT_OF(placeholders)))
        return "must be a password " OF_YOUR_OWN;
    if (characters(password) < ADMIN_PASSWORD_CHARACTERS_MIN)
        return "must have at least 12 characters";
    if (password.len > ADMIN_PASSWORD_BYTES_MAX)
        return "must have at most 1024 bytes";
    return NULL;
}

const char *shared_key_fault(struct slice key)
{
    if (thought_up(key))
        return "must be a key " OF_YOUR_OWN;
    if (key.len < SHARED_KEY_BYTES_MIN)
        return "must be at least 16 bytes long";
    return NULL;
}
