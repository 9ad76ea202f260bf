#include "api/routes.h"

// clang-format off
static const struct native_route routes[] = {
    /* path                method      right             name          answer */
    {"/",                  METHOD_GET, PERMISSIONS_NONE, "root",       answer_root,   .open = true},
    {"/health",            METHOD_GET, PERMISSIONS_NONE, "health",     answer_health, .open = true},
    {"/livez",             METHOD_GET, PERMISSIONS_NONE, "livez",      answer_live,   .open = true},
    {"/readyz",            METHOD_GET, PERMISSIONS_NONE, "readyz",     answer_ready,  .open = true, .names_caller = true},
    {"/ready",             METHOD_GET, PERMISSIONS_NONE, "readyz",     answer_ready,  .open = true, .names_caller = true},
    {"/metrics",           METHOD_GET, READ_METRICS,     "metrics",    answer_metrics, .admits = metrics_admit},
    {"/metrics/prometheus", METHOD_GET, READ_METRICS,    "metrics",    answer_metrics_prometheus, .admits = metrics_admit},
    {"/metrics/json",      METHOD_GET, READ_METRICS,     "metrics",    answer_metrics_json, .admits = metrics_admit},
    {"/.well-known/acme-challenge/", METHOD_GET, PERMISSIONS_NONE, "acme", answer_acme, .open = true, .charged = true},
    {0},
};
// clang-format on

const struct native_route *api_routes(void)
{
    return routes;
}
