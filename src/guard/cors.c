#include "guard/cors.h"

static const struct slice asks_method = SLICE("Access-Control-Request-Method");
static const struct slice asks_fields = SLICE("Access-Control-Request-Headers");

bool cors_enabled(const struct settings *settings)
{
    return settings->server.cors_origins.count > 0;
}

struct slice cors_allow_origin(const struct settings *settings, struct slice origin)
{
    const struct text_list *origins = &settings->server.cors_origins;
    if (origin.len == 0 || slice_equal(origin, SLICE("null")))
        return slice_make(NULL, 0);
    for (unsigned i = 0; i < origins->count; i++) {
        struct slice item = slice_of(origins->items[i]);
        if (slice_equal(item, origin) || slice_equal(item, SLICE("*")))
            return item;
    }
    return slice_make(NULL, 0);
}

/* How often the field stands in the head; the value of one of them. */
static unsigned find(const struct request_head *head, struct slice name, struct slice *value)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count; i++)
        if (slice_equal_nocase(head->fields[i].name, name)) {
            *value = head->fields[i].value;
            count++;
        }
    return count;
}

bool cors_is_preflight(const struct settings *settings, const struct request_head *head)
{
    struct slice method;
    return head->method == METHOD_OPTIONS && cors_enabled(settings) && head->origin.ptr &&
           head->path.ptr[0] == '/' && !request_has_body(head) &&
           find(head, asks_method, &method) > 0;
}

static bool lists(const struct text_list *list, struct slice item)
{
    for (unsigned i = 0; i < list->count; i++)
        if (slice_equal(slice_of(list->items[i]), item))
            return true;
    return false;
}

/* HEAD is GET without a body, everywhere. */
static bool method_allowed(const struct text_list *methods, struct slice method)
{
    return lists(methods, method) ||
           (slice_equal(method, SLICE("HEAD")) && lists(methods, SLICE("GET")));
}

static bool fields_allowed(const struct text_list *allowed, struct slice asked)
{
    while (asked.len) {
        struct slice name = slice_trim(slice_cut(&asked, ','));
        bool found = name.len == 0; /* RFC 9110, 5.6.1.2: empty elements mean nothing */
        for (unsigned i = 0; i < allowed->count && !found; i++)
            found = slice_equal_nocase(slice_of(allowed->items[i]), name);
        if (!found)
            return false;
    }
    return true;
}

bool cors_preflight_allowed(const struct settings *settings, const struct request_head *head)
{
    struct slice method;
    if (cors_allow_origin(settings, head->origin).len == 0 ||
        find(head, asks_method, &method) != 1 ||
        !method_allowed(&settings->server.cors_methods, method))
        return false;
    for (unsigned i = 0; i < head->field_count; i++)
        if (slice_equal_nocase(head->fields[i].name, asks_fields) &&
            !fields_allowed(&settings->server.cors_headers, head->fields[i].value))
            return false;
    return true;
}
