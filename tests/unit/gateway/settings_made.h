/* Settings made by hand, without reading a configuration: for tests of what is built from them. */
#ifndef TESTS_GATEWAY_SETTINGS_MADE_H
#define TESTS_GATEWAY_SETTINGS_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/settings.h"

/* One reference, which the caller gives back; room for `upstreams` upstreams. */
static inline struct settings *settings_make(unsigned upstreams)
{
    struct settings *settings = calloc(1, sizeof *settings);
    assert_non_null(settings);
    atomic_init(&settings->references, 1);
    arena_init(&settings->arena, NULL, 0, 1 << 20);
    settings->upstreams =
        arena_alloc(&settings->arena, (upstreams + 1) * sizeof *settings->upstreams);
    assert_non_null(settings->upstreams);
    return settings;
}

static inline char *settings_text(struct settings *settings, const char *text)
{
    struct slice copy = arena_copy(&settings->arena, slice_of(text));
    assert_non_null(copy.ptr);
    return (char *)copy.ptr;
}

static inline struct upstream_settings *settings_add(struct settings *settings, const char *name,
                                                     const char *url, enum upstream_kind kind)
{
    struct upstream_settings *one = &settings->upstreams[settings->upstream_count++];
    one->name = settings_text(settings, name);
    one->url_text = settings_text(settings, url);
    one->kind = kind;
    assert_int_equal(url_parse(slice_of(one->url_text), &one->url), OK);
    return one;
}

#endif
