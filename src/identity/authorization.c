#include "identity/authorization.h"

enum err authorization_parse(struct slice field, bool basic_taken, struct presented *presented)
{
    struct slice text = field, scheme = slice_cut(&text, ' ');
    bool bearer = slice_equal_nocase(scheme, SLICE("Bearer"));
    bool basic = basic_taken && slice_equal_nocase(scheme, SLICE("Basic"));
    if (!(bearer || basic) || scheme.len == field.len)
        return ERR_UNSUPPORTED;
    while (text.len && text.ptr[0] == ' ')
        text = slice_from(text, 1);
    *presented = (struct presented){text, basic};
    return OK;
}
