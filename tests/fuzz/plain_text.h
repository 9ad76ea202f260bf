/* Another reader's judgement of names and passwords, for the targets that read them. */
#ifndef FUZZ_PLAIN_TEXT_H
#define FUZZ_PLAIN_TEXT_H

#include "base/slice.h"

/* UTF-8, which jansson finds, and no control character (U+0000 to U+001F, U+007F to U+009F). */
bool plain_text(struct slice text);

#endif
