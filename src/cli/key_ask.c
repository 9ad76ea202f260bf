/* Called by key.c. Nothing asked for here is a secret, so it is read as any line is, with the
 * terminal's own echo and editing. What the answers mean is for the verb to judge. */
#include "cli/key_ask.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

enum { ANSWER_BYTES = 1024, DAYS_STANDARD = 365 };

/* The answer, or `standard` for an empty one. NULL: nothing more comes. */
static const char *ask(const char *question, const char *standard, char answer[ANSWER_BYTES])
{
    fprintf(stderr, standard[0] ? "%s [%s]: " : "%s: ", question, standard);
    if (!fgets(answer, ANSWER_BYTES, stdin)) {
        fputc('\n', stderr);
        return NULL;
    }
    struct slice text = slice_trim(slice_make(answer, strcspn(answer, "\r\n")));
    memmove(answer, text.ptr, text.len);
    answer[text.len] = '\0';
    return text.len ? answer : standard;
}

static int wrong(const char *sentence)
{
    fprintf(stderr, "sallyport key: %s\n", sentence);
    return 2;
}

static int add_scopes(json_t *request, const char *text)
{
    json_t *list = json_array();
    for (struct slice rest = slice_of(text); rest.len;) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        if (!word.len || json_array_append_new(list, json_stringn(word.ptr, word.len)) != 0) {
            json_decref(list);
            return wrong("scopes are names separated by commas");
        }
    }
    return json_object_set_new(request, "scopes", list);
}

static int add_days(json_t *request, const char *text)
{
    uint64_t days;
    if (strcmp(text, "never") == 0)
        return 0;
    if (!slice_number(slice_of(text), UINT32_MAX, &days))
        return wrong("the expiry is a number of days, or never");
    return json_object_set_new(request, "expires_in_days", json_integer((json_int_t)days));
}

int key_ask(json_t *request)
{
    char memory[ANSWER_BYTES], days[16];
    snprintf(days, sizeof days, "%d", DAYS_STANDARD);
    const char *answer = ask("Name of the key, as team-core", "", memory);
    if (!answer)
        return 1;
    if (!answer[0] || json_object_set_new(request, "name", json_string(answer)) != 0)
        return wrong("a key needs a name, in UTF-8");
    answer = ask("Owner, as an e-mail address", "", memory);
    if (!answer)
        return 1;
    if (answer[0] && json_object_set_new(request, "owner", json_string(answer)) != 0)
        return wrong("the owner must be UTF-8");
    answer = ask("Scopes (chat:read, chat:write, *, or permissions)", "chat:read", memory);
    if (!answer)
        return 1;
    int status = add_scopes(request, answer);
    if (status)
        return status;
    answer = ask("Days until it expires, or never", days, memory);
    return answer ? add_days(request, answer) : 1;
}
