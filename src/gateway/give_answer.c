/* The end of the gate: somebody answers. */
#include "gateway/gate.h"

enum verdict give_answer(struct exchange *x)
{
    if (x->native)
        x->native->answer(x);
    else if (x->endpoint->answer == ANSWER_MODEL_LIST)
        x->worker->shared->list_models(x);
    else
        return forward(x);
    return WAIT;
}
