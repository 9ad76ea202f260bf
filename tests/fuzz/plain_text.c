/* See plain_text.h. */
#include "plain_text.h"

#include <jansson.h>

static bool utf8(struct slice text)
{
    json_t *string = json_stringn(text.len ? text.ptr : "", text.len);
    json_decref(string);
    return string != NULL;
}

bool plain_text(struct slice text)
{
    if (!utf8(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        /* Those of two bytes are C2 80 to C2 9F; no other character has C2 in it. */
        unsigned code = (unsigned char)text.ptr[i];
        if (code == 0xc2)
            code = (unsigned char)text.ptr[++i];
        else if (code >= 0x80)
            continue;
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
    }
    return true;
}
