/* Native endpoints that have something done: an HTTP request becomes a verb's request (verb.h), is
 * run on a job's thread, and its response becomes an answer. */
#ifndef API_NATIVE_H
#define API_NATIVE_H

#include "gateway/gate.h"

/* What a route has done. */
struct errand_plan {
    const char *verb;
    const char *member; /* of the response: it is the answer's body; NULL: there is none */
    bool list;          /* `member` is a list, and is answered as one */
    unsigned status;
    enum lane lane;
    bool signs; /* there only while one can sign in with a password */
};

void answer_errand(struct exchange *x);

#endif
