/* The option table and how rows are found. Everything that reads or describes options walks this
 * table; the hard part is none, as long as each option is declared here and nowhere else. */
#include "config/option.h"

#include <stddef.h>

#include "config/nearest.h"
#include "config/settings.h"

#define KB UINT64_C(1024)
#define MB (1024 * KB)
#define GB (1024 * MB)
#define MS UINT64_C(1000)
#define SECONDS (1000 * MS)
#define HOURS (3600 * SECONDS)

/* Longer is what API keys are for (identity/token.h refuses it). */
#define TOKEN_DAYS_MAX UINT64_C(31)

#define FIELD(member)                                                                              \
    .offset = offsetof(struct settings, member), .size = sizeof((struct settings *)0)->member
#define UPSTREAM(member)                                                                           \
    .home = OF_UPSTREAM, .offset = offsetof(struct upstream_settings, member),                     \
    .size = sizeof((struct upstream_settings *)0)->member
#define ACCESS_LOG(member)                                                                         \
    .home = OF_ACCESS_LOG, .offset = offsetof(struct access_log_settings, member),                 \
    .size = sizeof((struct access_log_settings *)0)->member

#define LIMIT_ROUTE(member)                                                                        \
    .home = OF_LIMIT_ROUTE, .offset = offsetof(struct limit_route_settings, member),               \
    .size = sizeof((struct limit_route_settings *)0)->member

static const struct choice presets[] = {
    {"standard", PRESET_STANDARD},
    {"agents",   PRESET_AGENTS  },
    {NULL,       0              },
};
static const struct choice environments[] = {
    {"development", ENVIRONMENT_DEVELOPMENT},
    {"staging",     ENVIRONMENT_STAGING    },
    {"production",  ENVIRONMENT_PRODUCTION },
    {NULL,          0                      },
};
static const struct choice levels[] = {
    {"debug",   LOG_DEBUG  },
    {"info",    LOG_INFO   },
    {"warning", LOG_WARNING},
    {"warn",    LOG_WARNING},
    {"error",   LOG_ERROR  },
    {NULL,      0          },
};
static const struct choice ip_counts[] = {
    {"unauthenticated", false},
    {"all",             true },
    {NULL,              0    },
};
static const struct choice limit_pers[] = {
    {"ip",   PER_IP  },
    {"key",  PER_KEY },
    {"user", PER_USER},
    {"all",  PER_ALL },
    {NULL,   0       },
};
static const struct choice pattern_actions[] = {
    {"off",  PATTERN_OFF },
    {"flag", PATTERN_FLAG},
    {"ban",  PATTERN_BAN },
    {NULL,   0           },
};
static const struct choice tls_versions[] = {
    {"1.2", TLS_1_2},
    {"1.3", TLS_1_3},
    {NULL,  0      },
};
static const struct choice kinds[] = {
    {"ollama",    KIND_OLLAMA   },
    {"openai",    KIND_OPENAI   },
    {"anthropic", KIND_ANTHROPIC},
    {"llama.cpp", KIND_LLAMA_CPP},
    {"vllm",      KIND_VLLM     },
    {"demo",      KIND_DEMO     },
    {NULL,        0             },
};

/* What a page may send without asking twice: our own credentials and ids, and every field that the
 * OpenAI and Anthropic libraries for browsers set (some browsers count User-Agent among them). */
#define CORS_HEADERS                                                                               \
    "Authorization, Content-Type, X-API-Key, X-Correlation-ID, Idempotency-Key, User-Agent, "      \
    "OpenAI-Beta, OpenAI-Organization, OpenAI-Project, anthropic-version, anthropic-beta, "        \
    "anthropic-dangerous-direct-browser-access, X-Stainless-Lang, X-Stainless-Package-Version, "   \
    "X-Stainless-OS, X-Stainless-Arch, X-Stainless-Runtime, X-Stainless-Runtime-Version, "         \
    "X-Stainless-Retry-Count, X-Stainless-Timeout, X-Stainless-Helper, "                           \
    "X-Stainless-Helper-Method, X-Stainless-Poll-Helper, X-Stainless-Custom-Poll-Interval"

// clang-format off
static const struct option options[] = {
    /* server */
    {"server.listen", .type = OPTION_LISTEN, FIELD(server.listen), .standard = "127.0.0.1:8080",
     .fixed = true,
     .names = {{"INFERNO_BIND_ADDRESS", .part = PART_HOST},
               {"INFERNO_BIND_PORT", .part = PART_PORT},
               {"HOLO_HOST", .part = PART_HOST},
               {"HOLO_PORT", .part = PART_PORT}},
     .help = "Addresses: host:port, [v6]:port, :port or unix:PATH, after https:// or http:// if wanted."},
    {"server.preset", .type = OPTION_CHOICE, FIELD(server.preset), .standard = "standard",
     .choices = presets,
     .help = "Which set of defaults applies: careful numbers, or room for coding agents and chat "
             "interfaces."},
    {"server.workers", .type = OPTION_INTEGER, FIELD(server.workers), .standard = "0", .max = 64,
     .fixed = true, .help = "Event-loop threads; 0 is one per core."},
    {"server.environment", .type = OPTION_CHOICE, FIELD(server.environment),
     .standard = "development", .choices = environments, .names = {{.name = "ENVIRONMENT"}},
     .help = "Where this runs; production refuses to start with unsafe settings."},
    {"server.max_body", .type = OPTION_SIZE, FIELD(server.max_body_bytes), .standard = "10MB",
     .agents = "64MB", .min = 1 * KB, .max = 4 * GB, .names = {{.name = "MAX_BODY_MB", .unit = MB}},
     .help = "Largest request body, counted as it is read."},
    {"server.max_body_memory", .type = OPTION_SIZE, FIELD(server.max_body_memory_bytes),
     .standard = "512MB", .min = 1 * MB, .max = 1024 * GB, .fixed = true,
     .help =
         "Memory for all request bodies in flight together; when it is used up, requests get 503."},
    {"server.max_header_line", .type = OPTION_SIZE, FIELD(server.max_header_line_bytes),
     .standard = "16KB", .min = 1 * KB, .max = 128 * KB,
     .help = "Longest single line of a request head."},
    {"server.max_header_bytes", .type = OPTION_SIZE, FIELD(server.max_header_bytes),
     .standard = "64KB", .min = 1 * KB, .max = 128 * KB,
     .help = "Largest request head, all lines together."},
    {"server.max_connections", .type = OPTION_INTEGER, FIELD(server.max_connections),
     .standard = "10000", .min = 1, .max = 1000000, .fixed = true,
     .help = "Open client connections at once."},
    {"server.header_timeout", .type = OPTION_DURATION, FIELD(server.header_timeout_us),
     .standard = "10s", .min = 100 * MS, .max = 1 * HOURS,
     .help = "How long a client may take to send a whole request head."},
    {"server.min_body_rate", .type = OPTION_SIZE, FIELD(server.min_body_rate_bytes),
     .standard = "256", .max = 1 * GB,
     .help = "Bytes a second that a request body must come at after its first five seconds; 0 is "
             "no bound."},
    {"server.body_timeout", .type = OPTION_DURATION, FIELD(server.body_timeout_us),
     .standard = "30s", .min = 100 * MS, .max = 1 * HOURS,
     .help = "How long a client may pause while it sends a body."},
    {"server.idle_timeout", .type = OPTION_DURATION, FIELD(server.idle_timeout_us),
     .standard = "75s", .min = 100 * MS, .max = 24 * HOURS,
     .help = "How long a connection may stay open between requests, or a caller read nothing."},
    {"server.drain_timeout", .type = OPTION_DURATION, FIELD(server.drain_timeout_us),
     .standard = "30s", .max = 24 * HOURS,
     .help = "How long requests in flight may take to finish when the gateway stops."},
    {"server.tls_enabled", .type = OPTION_BOOL, FIELD(server.tls_enabled), .standard = "false",
     .fixed = true, .help = "Speak TLS on addresses without http:// or https:// before them."},
    {"server.tls_cert_path", .type = OPTION_PATH_LIST, FIELD(server.tls_certificates),
     .help = "PEM file of the certificate and its issuers; several are chosen by the name asked for."},
    {"server.tls_key_path", .type = OPTION_PATH_LIST, FIELD(server.tls_keys),
     .help = "PEM file of the certificate's private key; as many, in the same order."},
    {"server.http2", .type = OPTION_BOOL, FIELD(server.http2), .standard = "true",
     .help = "Offer HTTP/2 to clients that come by TLS."},
    {"server.http2_plain", .type = OPTION_BOOL, FIELD(server.http2_plain), .standard = "false",
     .help = "Take HTTP/2 without TLS too, from clients that begin with it."},
    {"server.acme_directory", .type = OPTION_PATH, FIELD(server.acme_directory),
     .help = "Folder of the files at /.well-known/acme-challenge/, for a client that renews "
             "certificates."},
    {"server.cors_origins", .type = OPTION_ORIGINS, FIELD(server.cors_origins),
     .names = {{"CORS_ALLOW_ORIGINS"}},
     .help = "Web pages that may read answers, as scheme://host[:port]; \"*\" is any; empty is none."},
    {"server.cors_methods", .type = OPTION_METHODS, FIELD(server.cors_methods),
     .standard = "POST, GET, OPTIONS", .help = "Methods that those pages may use."},
    {"server.cors_headers", .type = OPTION_FIELDS, FIELD(server.cors_headers),
     .standard = CORS_HEADERS, .help = "Header fields that those pages may send."},
    {"server.trusted_hosts", .type = OPTION_HOSTS, FIELD(server.trusted_hosts),
     .names = {{"TRUSTED_HOSTS"}},
     .help = "Hosts this gateway answers for: names, *.name or addresses, without port; empty is any."},
    {"server.trusted_proxies", .type = OPTION_CIDR_LIST, FIELD(server.trusted_proxies),
     .names = {{"TRUST_PROXY_HEADERS", .when_true = "private"}},
     .help = "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: ranges, private, unix."},
    {"server.proxy_hops", .type = OPTION_INTEGER, FIELD(server.proxy_hops), .standard = "0",
     .max = 100, .names = {{"TRUSTED_PROXY_COUNT"}},
     .help = "Proxies one behind the other, the nearest included; 0 is as many as are trusted."},
    {"server.https_redirect", .type = OPTION_BOOL, FIELD(server.https_redirect),
     .standard = "false", .names = {{"HTTPS_REDIRECT_ENABLED"}},
     .help = "Send GET and HEAD on plain HTTP to https://, and refuse other methods there."},

    /* security */
    {"security.auth_enabled", .type = OPTION_BOOL, FIELD(security.auth_enabled), .standard = "true",
     .names = {{.name = "INFERNO_AUTH_ENABLED"}},
     .help = "Ask callers who they are; refused in production when off."},
    {"security.api_key_enabled", .type = OPTION_BOOL, FIELD(security.api_key_enabled),
     .standard = "true", .help = "Accept API keys."},
    {"security.basic_enabled", .type = OPTION_BOOL, FIELD(security.basic_enabled),
     .standard = "false",
     .help = "Accept name and password in every request (Basic); on when there is an htpasswd_file."},
    {"security.jwt_secret", .type = OPTION_SECRET, FIELD(security.jwt_secret),
     .names = {{"INFERNO_JWT_SECRET"},
               {"SECRET_KEY", .generic = true, .otherwise = "security.jwt_secret_retiring"}},
     .help = "Signs the tokens of those who sign in: 32 bytes or more, random."},
    {"security.jwt_secret_retiring", .type = OPTION_SECRET, FIELD(security.jwt_secret_retiring),
     .help = "A second secret that only verifies tokens, during a rotation; SECRET_KEY beside the "
             "first."},
    {"security.admin_password", .type = OPTION_SECRET, FIELD(security.admin_password),
     .names = {{"INFERNO_ADMIN_PASSWORD"}}, .fixed = true,
     .help = "Password of the admin who is made when there is none; 12 characters or more."},
    {"security.token_expiry_hours", .type = OPTION_INTEGER, FIELD(security.token_expiry_hours),
     .standard = "24", .min = 1, .max = TOKEN_DAYS_MAX * 24,
     .help = "Hours that a token of /api/v1/auth/login is good for."},
    {"security.access_token_minutes", .type = OPTION_INTEGER, FIELD(security.access_token_minutes),
     .standard = "30", .min = 1, .max = TOKEN_DAYS_MAX * 24 * 60,
     .names = {{"ACCESS_TOKEN_EXPIRE_MINUTES"}},
     .help = "Minutes that a token of /login is good for."},
    {"security.refresh_token_days", .type = OPTION_INTEGER, FIELD(security.refresh_token_days),
     .standard = "14", .min = 1, .max = 366, .names = {{"REFRESH_TOKEN_EXPIRE_DAYS"}},
     .help = "Days that a refresh token is good for."},
    {"security.api_key", .type = OPTION_SECRET, FIELD(security.api_key),
     .names = {{"API_KEY", .generic = true}},
     .help = "One key that callers share: they may list models and use them, streamed too."},
    {"security.api_keys_file", .type = OPTION_PATH, FIELD(security.api_keys_file),
     .standard = "ops/api_keys.yaml", .names = {{"API_KEYS_FILE"}},
     .help = "YAML file of keys and their bcrypt hashes; the default only when it is there."},
    {"security.htpasswd_file", .type = OPTION_PATH, FIELD(security.htpasswd_file),
     .help = "File of names and hashed passwords, as htpasswd writes it, for Basic."},
    {"security.min_tls_version", .type = OPTION_CHOICE, FIELD(security.min_tls_version),
     .standard = "1.2", .choices = tls_versions, .help = "The oldest version of TLS for callers."},
    {"security.tls_required", .type = OPTION_BOOL, FIELD(security.tls_required),
     .standard = "false",
     .help = "Plain HTTP only from this machine, or from a trusted proxy that says https."},
    {"security.audit_logging_enabled", .type = OPTION_BOOL, FIELD(security.audit_logging_enabled),
     .standard = "true", .fixed = true,
     .help = "Keep an audit log; nothing starts while it cannot be written."},
    {"security.rate_limiting_enabled", .type = OPTION_BOOL,
     FIELD(security.rate_limiting_enabled), .standard = "true",
     .help = "Hold callers to the rates of [limits] and of the next two options."},
    {"security.max_requests_per_minute", .type = OPTION_INTEGER,
     FIELD(security.max_requests_per_minute), .standard = "0", .max = 60000,
     .help = "Requests of a user, or of a key without one, in any 60 seconds; twice as many of an "
             "address; 0 is no bound."},
    {"security.max_requests_per_hour", .type = OPTION_INTEGER,
     FIELD(security.max_requests_per_hour), .standard = "0", .max = 60000,
     .help = "The same in any 3600 seconds."},

    /* limits */
    {"limits.ip", .type = OPTION_RATE, FIELD(limits.ip), .standard = "60/minute",
     .names = {{.name = "RATE_LIMIT_IP"}},
     .help = "Requests per address, in n/second, minute, hour or day; 0/minute is no limit."},
    {"limits.ip_burst", .type = OPTION_INTEGER, FIELD(limits.ip.burst), .standard = "10", .min = 1,
     .max = 1000000, .names = {{.name = "BURST_IP"}},
     .help = "Requests per address that may come at once."},
    {"limits.ip_counts", .type = OPTION_CHOICE, FIELD(limits.ip_counts_all),
     .standard = "unauthenticated", .choices = ip_counts,
     .help =
         "Which requests an address pays for: only those that do not prove who they are, or all."},
    {"limits.key", .type = OPTION_RATE, FIELD(limits.key), .standard = "120/minute",
     .agents = "1200/minute", .names = {{.name = "RATE_LIMIT_KEY"}},
     .help = "Requests per API key."},
    {"limits.key_burst", .type = OPTION_INTEGER, FIELD(limits.key.burst), .standard = "20",
     .agents = "200", .min = 1, .max = 1000000, .names = {{.name = "BURST_KEY"}},
     .help = "Requests per API key that may come at once."},
    {"limits.connections_per_ip", .type = OPTION_INTEGER, FIELD(limits.connections_per_ip),
     .standard = "0", .max = 1000000, .help = "Open connections per address; 0 is no bound."},
    {"limits.requests_in_flight_per_ip", .type = OPTION_INTEGER,
     FIELD(limits.requests_in_flight_per_ip), .standard = "0", .max = 1000000,
     .help = "Requests per address that are being answered; 0 is no bound."},
    {"limits.parallel_per_key", .type = OPTION_INTEGER, FIELD(limits.parallel_per_key),
     .standard = "0", .max = 1000000,
     .help = "Requests per key, or per user without a key, that are being answered; 0 is no bound."},

    /* [[limits.route]] */
    {"limits.route.path", .type = OPTION_TEXT, LIMIT_ROUTE(path),
     .help = "Which requests it is about: a path, exact or ending in *."},
    {"limits.route.rate", .type = OPTION_RATE, LIMIT_ROUTE(rate),
     .help = "How many, in n/second, minute, hour or day."},
    {"limits.route.burst", .type = OPTION_INTEGER, LIMIT_ROUTE(rate.burst), .standard = "0",
     .max = 1000000, .help = "How many may come at once; 0 is the rate's n."},
    {"limits.route.per", .type = OPTION_CHOICE, LIMIT_ROUTE(per), .standard = "ip",
     .choices = limit_pers,
     .help = "Whose requests are counted together: those of an address, a key, a user, or all."},

    /* abuse */
    {"abuse.threshold_errors", .type = OPTION_INTEGER, FIELD(abuse.threshold_errors),
     .standard = "5", .max = 10000, .names = {{.name = "ABUSE_THRESHOLD_ERRORS"}},
     .help = "Errors of a key, or of an address without one, that have it banned; 0 is never."},
    {"abuse.window_seconds", .type = OPTION_INTEGER, FIELD(abuse.window_seconds),
     .standard = "30", .min = 1, .max = 86400, .names = {{.name = "ABUSE_WINDOW_SECONDS"}},
     .help = "The time within which they count together."},
    {"abuse.ban_seconds", .type = OPTION_INTEGER, FIELD(abuse.ban_seconds), .standard = "900",
     .max = 31536000, .help = "How long a ban holds; 0 is until somebody lifts it."},
    {"abuse.denylist_file", .type = OPTION_PATH, FIELD(abuse.denylist_file),
     .standard = "ops/denylist.txt", .names = {{.name = "DENYLIST_FILE"}}, .fixed = true,
     .help = "The file of bans: lines may be added and removed by hand."},
    {"abuse.count_upstream_errors", .type = OPTION_BOOL, FIELD(abuse.count_upstream_errors),
     .standard = "false", .help = "Count the model server's failures (5xx) as errors of who asked."},
    {"abuse.protect", .type = OPTION_CIDR_LIST, FIELD(abuse.protect), .standard = "private",
     .help = "Addresses that are never banned but by hand; trusted proxies are not either."},
    {"abuse.login_spray", .type = OPTION_CHOICE, FIELD(abuse.login_spray), .standard = "ban",
     .choices = pattern_actions,
     .help = "An address fails to sign in with 10 names or more in 10 minutes: off, flag or ban."},
    {"abuse.model_enumeration", .type = OPTION_CHOICE, FIELD(abuse.model_enumeration),
     .standard = "flag", .choices = pattern_actions,
     .help = "Somebody asks for 20 models or more in 10 minutes that are not there."},
    {"abuse.key_addresses", .type = OPTION_CHOICE, FIELD(abuse.key_addresses), .standard = "flag",
     .choices = pattern_actions,
     .help = "A key comes from 20 addresses or more in 10 minutes."},

    /* endpoints, metrics */
    {"endpoints.allow", .type = OPTION_PATTERNS, FIELD(endpoints.allow),
     .help = "Paths that may pass, exact or ending in *, instead of the safe list; \"default\" is "
             "that list."},
    {"endpoints.deny", .type = OPTION_PATTERNS, FIELD(endpoints.deny),
     .help = "Paths that never pass, whatever allows them."},
    {"endpoints.manage", .type = OPTION_BOOL, FIELD(endpoints.manage), .standard = "false",
     .help = "Let callers with write_models or delete_models reach Ollama's pull, push, copy, "
             "create and delete."},
    {"metrics.allow", .type = OPTION_CIDR_LIST, FIELD(metrics.allow),
     .help = "Addresses that read /metrics without a credential, as addresses or CIDR ranges."},

    /* store */
    {"store.url", .type = OPTION_DATABASE, FIELD(store.url),
     .standard = "sqlite:sallyport-data/sallyport.db", .names = {{.name = "DATABASE_URL"}},
     .fixed = true, .help = "The database; the lock and the control socket live in its folder."},

    /* log */
    {"log.level", .type = OPTION_CHOICE, FIELD(log.level), .standard = "info", .choices = levels,
     .names = {{.name = "LOG_LEVEL"}},
     .help = "The least severe messages that are logged; debug is refused in production."},
    {"log.access", .type = OPTION_ACCESS, FIELD(log.access), .standard = "logs/access.log",
     .fixed = true,
     .help = "Where the access log goes; - is standard output, an empty text is nowhere."},
    {"log.app", .type = OPTION_PATH, FIELD(log.app), .standard = "logs/app.log",
     .names = {{.name = "LOG_FILE_PATH"}}, .fixed = true,
     .help = "Where the application log goes; - is standard output, an empty text standard error."},
    {"log.audit", .type = OPTION_PATH, FIELD(log.audit), .standard = "logs/audit.log",
     .names = {{.name = "AUDIT_LOG_FILE"}}, .fixed = true,
     .help = "Where the audit log goes, a file."},
    {"log.app_requests", .type = OPTION_BOOL, FIELD(log.app_requests), .standard = "true",
     .help = "One line per request in the application log too."},

    /* [[log.access]] */
    {"log.access.path", .type = OPTION_PATH, ACCESS_LOG(path), .fixed = true,
     .help = "One of several access logs, each a table of its own."},

    /* [[upstream]] */
    {"upstream.name", .type = OPTION_TEXT, UPSTREAM(name),
     .help = "Its name in logs and metrics; the kind's name when not given."},
    {"upstream.url", .type = OPTION_URL, UPSTREAM(url_text),
     .help = "Where the model server is: http://host:port, https://host, unix:PATH or demo:."},
    {"upstream.kind", .type = OPTION_CHOICE, UPSTREAM(kind), .choices = kinds,
     .help = "What it speaks; found by asking the server when not given."},
    {"upstream.api_key", .type = OPTION_SECRET, UPSTREAM(api_key),
     .help = "The key the gateway shows to the model server; callers never see it."},
    {"upstream.models", .type = OPTION_TEXT_LIST, UPSTREAM(models),
     .help = "The models it serves; empty is any."},
    {"upstream.max_concurrency", .type = OPTION_INTEGER, UPSTREAM(max_concurrency), .standard = "0",
     .max = 1000000, .help = "Requests it is given at once; 0 is no bound."},
    {"upstream.connect_timeout", .type = OPTION_DURATION, UPSTREAM(connect_timeout_us),
     .standard = "10s", .min = 10 * MS, .max = 1 * HOURS,
     .help = "How long a connection to it may take."},
    {"upstream.send_timeout", .type = OPTION_DURATION, UPSTREAM(send_timeout_us), .standard = "60s",
     .min = 10 * MS, .max = 24 * HOURS,
     .help = "How long it may take to accept more of a request."},
    {"upstream.read_timeout", .type = OPTION_DURATION, UPSTREAM(read_timeout_us),
     .standard = "120s", .min = 10 * MS, .max = 24 * HOURS,
     .help = "How long it may pause within an answer, and how long an answer's head may take from its "
             "first byte."},
    {"upstream.first_byte_timeout", .type = OPTION_DURATION, UPSTREAM(first_byte_timeout_us),
     .standard = "600s", .min = 10 * MS, .max = 24 * HOURS,
     .help = "How long it may take to begin an answer, and once more after each interim one (1xx)."},
    {"upstream.ca_file", .type = OPTION_PATH, UPSTREAM(ca_file),
     .help = "PEM file of the authorities its certificate is checked against; the system's when "
             "not given."},
};
unsigned option_count(void)
{
    return COUNT_OF(options);
}

const struct option *option_at(unsigned index)
{
    invariant(index < COUNT_OF(options));
    return &options[index];
}

unsigned option_index(const struct option *option)
{
    return (unsigned)(option - options);
}

const struct option *option_find(struct slice path)
{
    for (unsigned i = 0; i < COUNT_OF(options); i++)
        if (slice_equal(path, slice_of(options[i].path)))
            return &options[i];
    return NULL;
}

bool option_section(struct slice path)
{
    for (unsigned i = 0; i < COUNT_OF(options); i++)
        if (slice_starts(slice_of(options[i].path), path) && options[i].path[path.len] == '.')
            return true;
    return false;
}

const char *option_default(const struct option *option, bool agents)
{
    return agents && option->agents ? option->agents : option->standard;
}

bool option_is_list(const struct option *option)
{
    switch (option->type) {
    case OPTION_TEXT_LIST:
    case OPTION_PATTERNS:
    case OPTION_LISTEN:
    case OPTION_PATH_LIST:
    case OPTION_ORIGINS:
    case OPTION_HOSTS:
    case OPTION_METHODS:
    case OPTION_FIELDS:
    case OPTION_CIDR_LIST:
        return true;
    default:
        return false;
    }
}

bool option_own_name(const struct option *option, char name[OPTION_NAME_MAX])
{
    static const char prefix[] = "SALLYPORT_";
    size_t len = strlen(option->path);
    if (option->home == OF_ACCESS_LOG || option->home == OF_LIMIT_ROUTE)
        return false;
    invariant(sizeof prefix + len + strlen("_FILE") <= OPTION_NAME_MAX);
    memcpy(name, prefix, sizeof prefix);
    char *at = name + sizeof prefix - 1;
    for (size_t i = 0; i <= len; i++) {
        char c = option->path[i];
        *at++ = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c == '.' ? '_' : c;
    }
    return true;
}

/* The part behind the last dot. */
static struct slice last_word(struct slice path)
{
    for (size_t i = path.len; i > 0; i--)
        if (path.ptr[i - 1] == '.')
            return slice_from(path, i);
    return path;
}

const char *option_nearest(struct slice path)
{
    struct nearest nearest = nearest_to(path);
    for (unsigned i = 0; i < COUNT_OF(options); i++)
        nearest_try(&nearest, options[i].path);
    if (nearest.word)
        return nearest.word;
    /* The right name in the wrong section. */
    for (unsigned i = 0; i < COUNT_OF(options); i++)
        if (slice_equal(last_word(path), last_word(slice_of(options[i].path))))
            return options[i].path;
    return NULL;
}
