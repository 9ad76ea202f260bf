/* The words of HTTP that code and logs name: methods, faults, list members. */
#include "proto/http.h"

static const char *const method_names[METHOD_COUNT] = {
    [METHOD_GET] = "GET",         [METHOD_HEAD] = "HEAD",   [METHOD_POST] = "POST",
    [METHOD_PUT] = "PUT",         [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
    [METHOD_OPTIONS] = "OPTIONS",
};

// clang-format off
static const char *const fault_names[HTTP_FAULT_COUNT] = {
    [HTTP_FINE]             = "fine",
    [HTTP_BAD_REQUEST_LINE] = "bad_request_line",
    [HTTP_BAD_STATUS_LINE]  = "bad_status_line",
    [HTTP_BAD_METHOD]       = "bad_method",
    [HTTP_BAD_VERSION]      = "bad_version",
    [HTTP_BAD_TARGET]       = "bad_target",
    [HTTP_TARGET_TOO_LONG]  = "target_too_long",
    [HTTP_BAD_FIELD]        = "bad_field",
    [HTTP_BAD_LINE_END]     = "bad_line_end",
    [HTTP_LINE_TOO_LONG]    = "line_too_long",
    [HTTP_HEAD_TOO_LONG]    = "head_too_long",
    [HTTP_TOO_MANY_FIELDS]  = "too_many_fields",
    [HTTP_BAD_HOST]         = "bad_host",
    [HTTP_BAD_LENGTH]       = "bad_length",
    [HTTP_BAD_CODING]       = "bad_coding",
    [HTTP_UNKNOWN_CODING]   = "unknown_coding",
    [HTTP_DUPLICATE_FIELD]  = "duplicate_field",
    [HTTP_BAD_EXPECT]       = "bad_expect",
    [HTTP_BAD_CHUNK]        = "bad_chunk",
    [HTTP_CHUNK_OVERHEAD]   = "chunk_overhead",
    [HTTP_UNEXPECTED_BODY]  = "unexpected_body",
};
// clang-format on

const char *http_method_name(enum http_method method)
{
    invariant((unsigned)method < METHOD_COUNT);
    return method_names[method];
}

const char *http_fault_name(enum http_fault fault)
{
    invariant((unsigned)fault < HTTP_FAULT_COUNT);
    return fault_names[fault];
}

bool http_list_has(struct slice list, struct slice token)
{
    while (list.len)
        if (slice_equal_nocase(slice_trim(slice_cut(&list, ',')), token))
            return true;
    return false;
}

bool http_hop_by_hop(const struct field *fields, unsigned count, const struct field *field)
{
    if (field->row && field->row->rules & FIELD_HOP)
        return true;
    for (unsigned i = 0; i < count; i++)
        if (fields[i].row && fields[i].row->id == FIELD_CONNECTION &&
            http_list_has(fields[i].value, field->name))
            return true;
    return false;
}

void http_print_field(struct buffer *out, struct slice name, struct slice value)
{
    size_t size = name.len + value.len + 4;
    char *at = buffer_reserve(out, size); /* one look at the bound for all four pieces */
    if (!at)
        return;
    memcpy(at, name.ptr, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    if (value.len)
        memcpy(at, value.ptr, value.len);
    at += value.len;
    *at++ = '\r';
    *at = '\n';
    buffer_grow(out, size);
}
