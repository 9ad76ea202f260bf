#include "identity/basic.h"

#include "base/encode.h"
#include "identity/api_key.h"

enum err basic_parse(struct slice encoded, char memory[BASIC_BYTES_MAX], struct basic *basic)
{
    size_t size;
    TRY(base64_parse(encoded, memory, BASIC_BYTES_MAX, &size));
    struct slice text = slice_make(memory, size), password = text;
    struct slice name = slice_cut(&password, ':');
    /* RFC 7617, section 2, keeps control characters out; here they are those of Unicode. */
    if (name.len == text.len || !key_word_valid(text, BASIC_BYTES_MAX))
        return ERR_SYNTAX;
    *basic = (struct basic){text, name, password};
    return OK;
}
