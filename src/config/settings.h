/* The settings: what the option table (option.c) fills from defaults, preset, TOML, secret files,
 * .env, environment and command line, in that order. Plain values with units in their names;
 * immutable once loaded. `config_load` owns all memory; settings_unref frees it. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/slice.h"
#include "config/rate.h"
#include "proto/address.h"

struct text_list {
    char **items; /* NUL-terminated strings */
    unsigned count;
};

struct cidr_list {
    struct cidr *items;
    unsigned count;
};

enum preset { PRESET_STANDARD, PRESET_AGENTS, PRESET_COUNT };
enum tls_version { TLS_1_2, TLS_1_3 };
enum environment { ENVIRONMENT_DEVELOPMENT, ENVIRONMENT_STAGING, ENVIRONMENT_PRODUCTION };

/* Bits, so that a table row can name several. KIND_ASK is settled by asking the server. */
enum upstream_kind {
    KIND_ASK = 0,
    KIND_OLLAMA = 1 << 0,
    KIND_OPENAI = 1 << 1,
    KIND_ANTHROPIC = 1 << 2,
    KIND_LLAMA_CPP = 1 << 3,
    KIND_VLLM = 1 << 4,
    KIND_DEMO = 1 << 5,
    KIND_ALL = (1 << 6) - 1,
};
const char *upstream_kind_name(enum upstream_kind kind); /* "llama.cpp"; "unknown" for KIND_ASK */

struct upstream_settings {
    char *name; /* unique; the kind's name or "upstream-N" when not given */
    char *url_text;
    struct url url; /* slices into url_text */
    enum upstream_kind kind;
    struct secret api_key; /* sent upstream; empty: none */
    struct text_list models;
    uint64_t max_concurrency; /* 0: no bound */
    uint64_t connect_timeout_us, send_timeout_us, read_timeout_us, first_byte_timeout_us;
    char *ca_file; /* NULL: the system's */
};

struct access_log_settings {
    char *path; /* "-": standard output; absolute or relative to the working directory by now */
};

/* Whose requests a limit of [[limits.route]] counts together. */
enum limit_per { PER_IP, PER_KEY, PER_USER, PER_ALL };

enum { LIMIT_ROUTES_MAX = 16 };
struct limit_route_settings {
    char *path;       /* exact, or a prefix ending in '*' */
    struct rate rate; /* burst included */
    enum limit_per per;
    /* A hash of path and `per`, not of the rate: another rate refills nothing. */
    uint64_t identity;
};

/* What becomes of somebody who is seen to do what no honest caller does. */
enum pattern_action { PATTERN_OFF, PATTERN_FLAG, PATTERN_BAN };

struct settings {
    struct {
        /* "host:port", "[v6]:port" or "unix:PATH", perhaps after "http://" or "https://"; validated
         */
        struct text_list listen;
        enum preset preset;
        uint64_t workers; /* 0: one per core */
        enum environment environment;
        uint64_t max_body_bytes;
        uint64_t max_body_memory_bytes; /* all bodies in flight together */
        uint64_t max_header_line_bytes, max_header_bytes;
        uint64_t max_connections;
        uint64_t min_body_rate_bytes; /* a second, after the first five; 0: no bound */
        uint64_t header_timeout_us, body_timeout_us, idle_timeout_us, drain_timeout_us;
        bool tls_enabled; /* of addresses without a scheme: settings_listen_tls */
        struct text_list tls_certificates, tls_keys; /* paths; as many of both */
        bool http2, http2_plain;
        char *acme_directory;          /* NULL: none */
        struct text_list cors_origins; /* as browsers write them; or "*" alone */
        struct text_list cors_methods, cors_headers;
        struct text_list trusted_hosts;   /* lower case: "name", "*.name", addresses; empty: any */
        struct cidr_list trusted_proxies; /* family ADDRESS_UNIX: whoever comes by Unix socket */
        uint64_t proxy_hops;              /* 0: as many as are trusted */
        bool https_redirect;
    } server;
    struct {
        bool auth_enabled;
        bool api_key_enabled, basic_enabled;
        struct secret jwt_secret;          /* signs tokens; empty: nobody can sign in */
        struct secret jwt_secret_retiring; /* only verifies them; mostly empty */
        struct secret admin_password;      /* of the first admin; empty: none is made */
        uint64_t token_expiry_hours, access_token_minutes, refresh_token_days;
        struct secret api_key; /* the one that callers share; empty: none */
        char *api_keys_file;   /* paths; NULL: none */
        char *htpasswd_file;
        enum tls_version min_tls_version;
        bool tls_required;
        bool audit_logging_enabled;
        bool rate_limiting_enabled;
        uint64_t max_requests_per_minute, max_requests_per_hour; /* 0: no bound */
    } security;
    struct {
        struct rate ip, key;                                    /* bursts included */
        bool ip_counts_all;                                     /* limits.ip_counts = "all" */
        uint64_t connections_per_ip, requests_in_flight_per_ip; /* 0: no bound */
        uint64_t parallel_per_key;                              /* the same */
        struct limit_route_settings *routes;
        unsigned route_count;
    } limits;
    struct {
        uint64_t threshold_errors; /* 0: errors ban nobody */
        uint64_t window_seconds;
        uint64_t ban_seconds; /* 0: until it is lifted */
        char *denylist_file;
        bool count_upstream_errors;
        struct cidr_list protect; /* never banned but by hand */
        enum pattern_action login_spray, model_enumeration, key_addresses;
    } abuse;
    struct {
        struct text_list allow, deny; /* paths, or prefixes ending in '*' */
        bool manage;
    } endpoints;
    struct {
        struct cidr_list allow;
    } metrics;
    struct {
        char *url;       /* as given */
        char *path;      /* of the SQLite database */
        char *directory; /* the data folder: lock and control socket */
    } store;
    struct {
        enum log_level level;
        struct access_log_settings *access;
        unsigned access_count;
        char *app;   /* path; "-": standard output; NULL: standard error */
        char *audit; /* path of a file; never NULL with security.audit_logging_enabled */
        bool app_requests;
    } log;
    struct upstream_settings *upstreams;
    unsigned upstream_count;
    bool demo;               /* serve --demo */
    bool self_contained;     /* --demo or --upstream without a file: a complete setup by itself */
    char *file;              /* the configuration file read, or NULL */
    struct origins *origins; /* where each value came from: config/load.h */
    atomic_uint references;
    struct arena arena; /* owns everything above but the secrets */
};

void settings_ref(struct settings *settings);
void settings_unref(struct settings *settings); /* NULL is fine */

/* Is TLS spoken on address `i` of server.listen? On any of them? */
bool settings_listen_tls(const struct settings *settings, unsigned i);
bool settings_any_tls(const struct settings *settings);

/* Where a self-contained gateway keeps what it made for itself, in store.directory. */
#define SETTINGS_SECRET_FILE "jwt-secret"
#define SETTINGS_PASSWORD_FILE "admin-password"

/* Can people sign in by name and password, and be given tokens? */
bool settings_has_sign_in(const struct settings *settings);
/* Is there any credential besides the keys of the store: secret, password, shared key or a file? */
bool settings_has_credentials(const struct settings *settings);

#endif
