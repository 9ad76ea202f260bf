/* What no single option can say: options that contradict each other, what production refuses, and
 * what deserves a warning. Each rule is one function, and all of them run, so that one start shows
 * every mistake. */
#include <errno.h>
#include <unistd.h>

#include "config/load.h"
#include "config/secret_rules.h"

static const char *origin_file(struct load *load)
{
    return load->settings->file;
}

/* Where an option got its value, for the rules: "sallyport.toml:12" or "environment LOG_LEVEL". */
static const char *origin(struct load *load, const char *path)
{
    const struct option *option = option_find(slice_of(path));
    invariant(option && option->home == OF_SETTINGS);
    const char *text = load->object.origins[option_index(option)];
    return text ? text : "default";
}

static void check_production(struct load *load)
{
    const struct settings *settings = load->settings;
    if (settings->server.environment != ENVIRONMENT_PRODUCTION) {
        if (!settings->security.auth_enabled)
            faults_warn(
                load->faults, origin_file(load), 0, "security.auth_enabled",
                "authentication is off: everybody who reaches the gateway may use the models (%s)",
                origin(load, "security.auth_enabled"));
        return;
    }
    if (!settings->security.auth_enabled)
        faults_add(load->faults, origin_file(load), 0, "security.auth_enabled",
                   "production does not run without authentication (%s)",
                   origin(load, "security.auth_enabled"));
    if (settings->log.level == LOG_DEBUG)
        faults_add(load->faults, origin_file(load), 0, "log.level",
                   "production does not log at level debug (%s)", origin(load, "log.level"));
}

/* Does anybody see to TLS between the callers and us? */
static bool ends_tls(const struct settings *settings)
{
    return settings->server.trusted_proxies.count > 0 || settings_any_tls(settings);
}

static bool any_item(const struct text_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->items[i], "*") == 0)
            return true;
    return false;
}

static bool is_other_log(const struct settings *settings, const char *path)
{
    for (unsigned i = 0; i < settings->log.access_count; i++)
        if (settings->log.access[i].path && strcmp(settings->log.access[i].path, path) == 0)
            return true;
    return settings->log.app && strcmp(settings->log.app, path) == 0;
}

static void check_audit(struct load *load)
{
    const struct settings *settings = load->settings;
    const char *path = settings->log.audit, *fault = NULL;
    if (!settings->security.audit_logging_enabled)
        return;
    if (!path)
        fault = "the audit log needs a path; to have none, set security.audit_logging_enabled to "
                "false";
    else if (strcmp(path, "-") == 0)
        fault = "the audit log is a file, since its lines refer to those before";
    else if (is_other_log(settings, path))
        fault = "the audit log needs a file of its own, since its lines refer to those before";
    if (fault)
        faults_add(load->faults, origin_file(load), 0, "log.audit", "%s (%s)", fault,
                   origin(load, "log.audit"));
}

static void check_tls_use(struct load *load)
{
    const struct settings *settings = load->settings;
    bool production = settings->server.environment == ENVIRONMENT_PRODUCTION;
    if (ends_tls(settings))
        return;
    if (production)
        faults_add(load->faults, origin_file(load), 0, "server.trusted_proxies",
                   "production needs TLS: set server.tls_enabled, or name the proxies that end it");
    if (settings->server.https_redirect)
        faults_add(
            load->faults, origin_file(load), 0, "server.https_redirect",
            "there is nothing to redirect to: set server.tls_enabled, or name the proxies that "
            "end TLS in server.trusted_proxies (%s)",
            origin(load, "server.https_redirect"));
    if (settings->security.tls_required && !production)
        faults_warn(load->faults, origin_file(load), 0, "security.tls_required",
                    "without TLS and without server.trusted_proxies only this machine gets in (%s)",
                    origin(load, "security.tls_required"));
}

/* That the files fit together is found out when they are read (tls_identities_load). */
static void check_certificates(struct load *load)
{
    const struct settings *settings = load->settings;
    unsigned certificates = settings->server.tls_certificates.count;
    unsigned keys = settings->server.tls_keys.count;
    const char *why = settings->server.tls_enabled
                          ? origin(load, "server.tls_enabled")
                          : "an address in server.listen begins with https://";
    if (settings_any_tls(settings) && (!certificates || !keys))
        faults_add(load->faults, origin_file(load), 0,
                   certificates ? "server.tls_key_path" : "server.tls_cert_path",
                   "TLS needs a certificate and its key: set server.tls_cert_path and "
                   "server.tls_key_path to PEM files (%s)",
                   why);
    else if (certificates != keys)
        faults_add(load->faults, origin_file(load), 0, "server.tls_key_path",
                   "every certificate needs its key: server.tls_cert_path names %u, "
                   "server.tls_key_path %u",
                   certificates, keys);
    else if (certificates && !settings_any_tls(settings))
        faults_warn(load->faults, origin_file(load), 0, "server.tls_cert_path",
                    "nothing speaks TLS, so that the certificate is not used: set "
                    "server.tls_enabled = true, or begin an address with https:// (%s)",
                    origin(load, "server.tls_cert_path"));
    else if (settings->server.tls_enabled && !settings_any_tls(settings))
        faults_warn(load->faults, origin_file(load), 0, "server.tls_enabled",
                    "every address begins with http://, so that nothing speaks TLS");
}

static void check_acme(struct load *load)
{
    const char *directory = load->settings->server.acme_directory;
    if (directory && access(directory, X_OK) != 0)
        faults_warn(load->faults, origin_file(load), 0, "server.acme_directory",
                    "%.200s cannot be entered, so that challenges are not answered: %s", directory,
                    strerror(errno));
}

static void check_any(struct load *load)
{
    const struct settings *settings = load->settings;
    const struct text_list *origins = &settings->server.cors_origins;
    const struct text_list *hosts = &settings->server.trusted_hosts;
    if (any_item(origins) && origins->count > 1)
        faults_add(load->faults, origin_file(load), 0, "server.cors_origins",
                   "\"*\" stands alone: it is every origin already");
    if (any_item(hosts) && hosts->count > 1)
        faults_add(load->faults, origin_file(load), 0, "server.trusted_hosts",
                   "\"*\" stands alone: it is every host already");
    if (any_item(origins) && settings->server.environment == ENVIRONMENT_PRODUCTION)
        faults_add(load->faults, origin_file(load), 0, "server.cors_origins",
                   "production does not let every web page in: name the origins (%s)",
                   origin(load, "server.cors_origins"));
}

static void check_sizes(struct load *load)
{
    const struct settings *settings = load->settings;
    if (settings->server.max_header_line_bytes > settings->server.max_header_bytes)
        faults_add(load->faults, origin_file(load), 0, "server.max_header_line",
                   "one line may not be longer than the whole head: raise server.max_header_bytes");
    if (settings->server.max_body_bytes > settings->server.max_body_memory_bytes)
        faults_add(
            load->faults, origin_file(load), 0, "server.max_body",
            "one body may not be larger than the memory for all: raise server.max_body_memory");
}

static void check_endpoints(struct load *load)
{
    const struct text_list *allow = &load->settings->endpoints.allow;
    const struct text_list *deny = &load->settings->endpoints.deny;
    for (unsigned i = 0; i < allow->count; i++)
        for (unsigned n = 0; n < deny->count; n++)
            if (strcmp(allow->items[i], deny->items[n]) == 0)
                faults_add(load->faults, origin_file(load), 0, "endpoints.allow",
                           "\"%.200s\" is both allowed and denied", allow->items[i]);
}

/* A credential of ours that is too easy, whoever presents it. `make` is the command for a better
 * one. */
static void check_credential(struct load *load, const char *path, const struct secret *secret,
                             const char *(*fault)(struct slice), const char *make)
{
    const char *why = secret_empty(secret) ? NULL : fault(secret_reveal(secret));
    if (why)
        faults_add(load->faults, origin_file(load), 0, path, "it %s; this makes one: %s (%s)", why,
                   make, origin(load, path));
}

static void check_sign_in(struct load *load)
{
    const struct settings *settings = load->settings;
    check_credential(load, "security.jwt_secret", &settings->security.jwt_secret,
                     token_secret_fault, "openssl rand -base64 48");
    check_credential(load, "security.jwt_secret_retiring", &settings->security.jwt_secret_retiring,
                     token_secret_fault, "openssl rand -base64 48");
    check_credential(load, "security.admin_password", &settings->security.admin_password,
                     admin_password_fault, "openssl rand -base64 16");
    if (!settings_has_sign_in(settings) && !secret_empty(&settings->security.jwt_secret_retiring))
        faults_add(load->faults, origin_file(load), 0, "security.jwt_secret",
                   "security.jwt_secret_retiring only verifies: set the secret that signs too (%s)",
                   origin(load, "security.jwt_secret_retiring"));
    if (settings->security.auth_enabled && !settings->security.api_key_enabled &&
        !settings_has_sign_in(settings) && !settings->security.htpasswd_file)
        faults_warn(load->faults, origin_file(load), 0, "security.api_key_enabled",
                    "API keys are off, so that nobody can prove who they are");
}

/* A field of a request carries it in no other form than visible ASCII. */
static bool sendable(struct slice key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] <= ' ' || key.ptr[i] >= 0x7f)
            return false;
    return true;
}

/* Whoever calls knows the shared key, and must not be able to sign tokens or be the admin by it. */
static void check_shared_key_alone(struct load *load)
{
    const struct settings *settings = load->settings;
    const struct {
        const char *path;
        const struct secret *secret;
    } others[] = {
        {"security.jwt_secret",          &settings->security.jwt_secret         },
        {"security.jwt_secret_retiring", &settings->security.jwt_secret_retiring},
        {"security.admin_password",      &settings->security.admin_password     },
    };
    struct slice key = secret_reveal(&settings->security.api_key);
    for (unsigned i = 0; i < COUNT_OF(others); i++)
        if (secret_equal(others[i].secret, key))
            faults_add(load->faults, origin_file(load), 0, "security.api_key",
                       "it is %s too, which callers must not know: take another key (%s)",
                       others[i].path, origin(load, "security.api_key"));
}

static void check_shared_key(struct load *load)
{
    const struct settings *settings = load->settings;
    struct slice key = secret_reveal(&settings->security.api_key);
    const char *from = origin(load, "security.api_key");
    const char *why = key.len ? shared_key_fault(key) : NULL;
    if (why && settings->server.environment == ENVIRONMENT_PRODUCTION)
        faults_add(load->faults, origin_file(load), 0, "security.api_key",
                   "it %s; this makes one: openssl rand -base64 48 (%s)", why, from);
    else if (why)
        faults_warn(load->faults, origin_file(load), 0, "security.api_key",
                    "it %s, and is refused in production; this makes one: openssl rand -base64 48 "
                    "(%s)",
                    why, from);
    if (!sendable(key))
        faults_add(load->faults, origin_file(load), 0, "security.api_key",
                   "no caller can send it: only visible ASCII characters, without spaces (%s)",
                   from);
    check_shared_key_alone(load);
}

static void check_readable(struct load *load, const char *path, const char *file)
{
    if (file && access(file, R_OK) != 0)
        faults_add(load->faults, origin_file(load), 0, path, "%.200s cannot be read: %s (%s)", file,
                   strerror(errno), origin(load, path));
}

static void check_credential_files(struct load *load)
{
    const struct settings *settings = load->settings;
    check_readable(load, "security.api_keys_file", settings->security.api_keys_file);
    check_readable(load, "security.htpasswd_file", settings->security.htpasswd_file);
    if (settings->security.htpasswd_file && !settings->security.basic_enabled)
        faults_warn(load->faults, origin_file(load), 0, "security.htpasswd_file",
                    "it is not used: security.basic_enabled is false (%s)",
                    origin(load, "security.basic_enabled"));
}

static void check_access_logs(struct load *load)
{
    struct settings *settings = load->settings;
    for (unsigned i = 0; i < settings->log.access_count; i++) {
        const char *path = settings->log.access[i].path;
        if (!path)
            faults_add(load->faults, origin_file(load), 0, "log.access.path",
                       "access log number %u has no path", i + 1);
        for (unsigned n = 0; path && n < i; n++)
            if (settings->log.access[n].path && strcmp(settings->log.access[n].path, path) == 0)
                faults_add(load->faults, origin_file(load), 0, "log.access.path",
                           "two access logs go to \"%.200s\"", path);
    }
}

static void check_limit_route(struct load *load, unsigned index)
{
    const struct limit_route_settings *routes = load->settings->limits.routes,
                                      *row = &routes[index];
    struct slice path = slice_of(row->path);
    size_t star = slice_find(path, '*');
    const char *fault = NULL;
    if (path.len == 0 || path.ptr[0] != '/' || star + 1 < path.len)
        fault = "it needs a path that begins with '/', exact or ending in '*'";
    else if (row->rate.period_us == 0)
        fault = "it needs a rate";
    else if (slice_equal(path, SLICE("/livez")))
        fault = "/livez is never limited: whoever watches the gateway would restart it";
    for (unsigned i = 0; i < index && !fault; i++)
        if (slice_equal(path, slice_of(routes[i].path)) && routes[i].per == row->per)
            fault = "another one is about the same path and the same callers";
    if (fault)
        faults_add(load->faults, origin_file(load), 0, "limits.route", "number %u, \"%.200s\": %s",
                   index + 1, path.len ? path.ptr : "", fault);
}

static void check_limit_routes(struct load *load)
{
    for (unsigned i = 0; i < load->settings->limits.route_count; i++)
        check_limit_route(load, i);
}

static bool is_protected(const struct cidr_list *list, struct slice text)
{
    struct address address;
    return address_parse(text, &address) == OK && cidrs_contain(list->items, list->count, &address);
}

static void check_abuse(struct load *load)
{
    const struct settings *settings = load->settings;
    if (!settings->abuse.denylist_file || strcmp(settings->abuse.denylist_file, "-") == 0)
        faults_add(
            load->faults, origin_file(load), 0, "abuse.denylist_file",
            "bans are kept in a file; to have none made, set abuse.threshold_errors to 0 (%s)",
            origin(load, "abuse.denylist_file"));
    if (!is_protected(&settings->abuse.protect, SLICE("127.0.0.1")))
        faults_warn(load->faults, origin_file(load), 0, "abuse.protect",
                    "it leaves out this machine, whose own callers can be banned then: add "
                    "\"127.0.0.0/8\" and \"::1\" (%s)",
                    origin(load, "abuse.protect"));
}

static bool local(const struct url *url)
{
    struct address address;
    return url->unix_socket || slice_equal_nocase(url->host, SLICE("localhost")) ||
           (address_parse(url->host, &address) == OK && address_loopback(&address));
}

static void check_upstream(struct load *load, const struct upstream_settings *upstream)
{
    if (!upstream->url_text || upstream->kind == KIND_DEMO)
        return;
    if (upstream->ca_file && !upstream->url.tls)
        faults_add(load->faults, origin_file(load), 0, "upstream.ca_file",
                   "upstream \"%.64s\": a ca_file needs an https:// url", upstream->name);
    else if (upstream->ca_file && access(upstream->ca_file, R_OK) != 0)
        faults_add(load->faults, origin_file(load), 0, "upstream.ca_file",
                   "upstream \"%.64s\": %.200s cannot be read: %s", upstream->name,
                   upstream->ca_file, strerror(errno));
    if (!secret_empty(&upstream->api_key) && !upstream->url.tls && !local(&upstream->url))
        faults_warn(load->faults, origin_file(load), 0, "upstream.api_key",
                    "upstream \"%.64s\": its key travels unencrypted; use https://",
                    upstream->name);
}

static void check_upstreams(struct load *load)
{
    const struct settings *settings = load->settings;
    if (settings->upstream_count == 0)
        faults_warn(load->faults, origin_file(load), 0, NULL,
                    "no upstream is configured: requests for a model get 503");
    for (unsigned i = 0; i < settings->upstream_count; i++)
        check_upstream(load, &settings->upstreams[i]);
}

static void (*const rules[])(struct load *) = {
    check_production,   check_tls_use,
    check_certificates, check_acme,
    check_any,          check_sizes,
    check_endpoints,    check_sign_in,
    check_shared_key,   check_credential_files,
    check_access_logs,  check_audit,
    check_upstreams,    check_limit_routes,
    check_abuse,
};

void rules_check(struct load *load)
{
    for (unsigned i = 0; i < COUNT_OF(rules); i++)
        rules[i](load);
}
