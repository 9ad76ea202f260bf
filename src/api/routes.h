/* The native endpoints: one table. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "gateway/gate.h"

/* Ends with a NULL path. */
const struct native_route *api_routes(void);

/* One file per resource. */
void answer_root(struct exchange *x);
void answer_health(struct exchange *x);
void answer_live(struct exchange *x);
void answer_ready(struct exchange *x);
void answer_acme(struct exchange *x);
void answer_metrics(struct exchange *x);
void answer_metrics_prometheus(struct exchange *x);
void answer_metrics_json(struct exchange *x);
bool metrics_admit(const struct exchange *x);
/* For endpoints that list models, whatever their dialect. */
void answer_model_list(struct exchange *x);

#endif
