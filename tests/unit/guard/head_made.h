/* What the tests of decisions about a request's head share: a head read from its text, as the
 * gateway reads it, and lists of the configuration made by hand. */
#ifndef TESTS_GUARD_HEAD_MADE_H
#define TESTS_GUARD_HEAD_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "config/settings.h"
#include "proto/http.h"

/* `fields` are whole lines, each with its CRLF. Valid until the next call. */
static inline const struct request_head *head_made(const char *method, const char *fields)
{
    static const struct http_limits limits = {.line_bytes = 65536, .head_bytes = 131072};
    static struct request_head head;
    static char text[131072];
    size_t used;
    enum http_fault fault;
    int len = snprintf(text, sizeof text, "%s /v1/chat/completions HTTP/1.1\r\nHost: a\r\n%s\r\n",
                       method, fields);
    assert_in_range(len, 1, sizeof text - 1);
    enum err err = request_head_parse(slice_make(text, (size_t)len), &limits, &head, &used, &fault);
    if (err != OK)
        fail_msg("%s: %s", fields, http_fault_name(fault));
    return &head;
}

#define LIST_MADE(...)                                                                             \
    ((struct text_list){(char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)})

#endif
