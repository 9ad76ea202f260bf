/* Loads whole configurations: what they come to, and what is said about wrong ones. */
#include "loading.h"

static void wrong_files_are_explained_with_file_line_and_key(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *toml, *said;
    } rows[] = {
        {"[server]\nlisen = [\"x\"]\n",
         "a.toml:2: unknown option \"server.lisen\"; did you mean \"server.listen\"?\n"},
        {"zzzzzzzz = 1\n", "a.toml:1: unknown option \"zzzzzzzz\"\n"},
        {"[sevrer]\n", "a.toml:1: unknown table [sevrer]; did you mean [server]?\n"},
        {"[server]\nmax_body = \"99TB\"\n", "a.toml:2: server.max_body: expected a size from 1KB "
                                            "to 4GB, such as \"10MB\" or a number of bytes, "
                                            "not \"99TB\"\n"},
        {"[server]\nmax_body = \"5GB\"\n",
         "a.toml:2: server.max_body: expected a size from 1KB to 4GB"},
        {"[server]\nmax_body = -1\n", "a.toml:2: server.max_body: expected a size"},
        {"[server]\nworkers = \"2\"\n",
         "a.toml:2: server.workers: expected a whole number from 0 to 64, not a text\n"},
        {"[server]\nworkers = 2.5\n", "not a number with a fraction\n"},
        {"[server]\nworkers = [1, 2]\n",
         "a.toml:2: server.workers: expected a whole number from 0 to 64, "
         "not a list\n"},
        {"[server]\nworkers = 65\n", "expected a whole number from 0 to 64, not \"65\"\n"},
        {"[server]\nidle_timeout = 30\n", "server.idle_timeout: expected a time from 100ms to 24h"},
        {"[server]\nlisten = \"127.0.0.1:80\"\n", "server.listen: expected a list of addresses"},
        {"[server]\nlisten = [\"https://0.0.0.0:443\"]\n", "TLS needs a certificate and its key"},
        {"[server]\nlisten = [\"127.0.0.1\"]\n", "it needs a port"},
        {"[server]\nlisten = []\n", "at least one address is needed"},
        {"[server]\nlisten = [\"127.0.0.1:65536\"]\n", "a number from 0 to 65535"},
        {"[server]\nlisten = [\"::1:80\"]\n", "stands in brackets"},
        {"[server]\nlisten = [\"[127.0.0.1]:80\"]\n", "stands in brackets"},
        {"[server]\nlisten = [\"host.name:80\"]\n", "must be an address"},
        {"[server]\nlisten = [\"unix:\"]\n", "needs a path"},
        {"[server]\nlisten = [\":80\", \"0.0.0.0:80\"]\n", "the same item is there twice"},
        {"[server]\nenvironment = \"prodction\"\n", "did you mean \"production\"?\n"},
        {"[server]\npreset = true\n",
         "server.preset: expected one of \"standard\", \"agents\", not true or"},
        {"[[server]]\nworkers = 1\n", "its table stands in single brackets"},
        {"[upstream]\nurl = \"http://h\"\n", "write [[upstream]], in double brackets"},
        {"[log.access]\npath = \"x\"\n", "write [[log.access]], in double brackets"},
        {"[[log.access]]\n", "log.access.path: access log number 1 has no path"},
        {"[[log.access]]\npath=\"x\"\n[[log.access]]\npath=\"x\"\n", "two access logs go to \"x\""},
        {"[limits]\nip = \"60/fortnight\"\n",
         "a.toml:2: limits.ip: expected a rate such as \"60/minute\""},
        {"[limits]\nip_burst = 0\n", "limits.ip_burst: expected a whole number from 1 to 1000000"},
        {"[limits.route]\npath = \"/x\"\n", "write [[limits.route]], in double brackets"},
        {"[[limits.route]]\nrate = \"5/minute\"\n", "limits.route: number 1, \"\": it needs a path"},
        {"[[limits.route]]\npath = \"x\"\nrate = \"5/minute\"\n", "begins with '/'"},
        {"[[limits.route]]\npath = \"/a*b\"\nrate = \"5/minute\"\n", "ending in '*'"},
        {"[[limits.route]]\npath = \"/x\"\n", "number 1, \"/x\": it needs a rate"},
        {"[[limits.route]]\npath = \"/x\"\nrate = \"five\"\n", "limits.route.rate: expected a rate"},
        {"[[limits.route]]\npath = \"/x\"\nrate = \"5/minute\"\nper = \"team\"\n",
         "limits.route.per: expected one of \"ip\", \"key\", \"user\", \"all\""},
        {"[[limits.route]]\npath = \"/livez\"\nrate = \"5/minute\"\n", "/livez is never limited"},
        {"[[limits.route]]\npath = \"/x\"\nrate = \"5/minute\"\n"
         "[[limits.route]]\npath = \"/x\"\nrate = \"6/minute\"\n",
         "number 2, \"/x\": another one is about the same path"},
        {"[abuse]\ndenylist_file = \"\"\n", "abuse.denylist_file: bans are kept in a file"},
        {"[abuse]\nwindow_seconds = 0\n", "abuse.window_seconds: expected a whole number from 1"},
        {"[abuse]\nlogin_spray = true\n", "expected one of \"off\", \"flag\", \"ban\""},
        {"[metrics]\nallow = [\"10.0.0.1/8\"]\n",
         "metrics.allow: expected a list of addresses or ranges"},
        {"[endpoints]\nallow = [\"v1/models\"]\n", "a path begins with '/'"},
        {"[endpoints]\nallow = [\"/v1/*/x\"]\n", "'*' stands at the end of a path only"},
        {"[endpoints]\nallow = [\"/a\"]\ndeny = [\"/a\"]\n", "\"/a\" is both allowed and denied"},
        {"[store]\nurl = \"postgresql://h/db\"\n", "PostgreSQL is not available"},
        {"[store]\nurl = \"sqlite::memory:\"\n", "forgets every key"},
        {"[store]\nurl = \"sqlite://\"\n", "forgets every key"},
        {"[store]\nurl = \"sqlite:///x.db?mode=ro\"\n", "nothing may follow the path"},
        {"[store]\nurl = \"sqlite:\"\n", "the path of the database is missing"},
        {"[store]\nurl = \"sqlite:x/\"\n", "must name a file"},
        {"[log]\nlevel = \"loud\"\n", "log.level: expected one of \"debug\", \"info\""},
        {"[log]\napp = \"a\\u0001b\"\n", "it holds a control character"},
        {"[log]\naudit = \"\"\n", "a.toml: log.audit: the audit log needs a path"},
        {"[log]\naudit = \"-\"\n", "a.toml: log.audit: the audit log is a file"},
        {"[log]\naudit = \"x\"\napp = \"x\"\n", "the audit log needs a file of its own"},
        {"[log]\naudit = \"x\"\naccess = \"x\"\n", "the audit log needs a file of its own"},
        {"[[upstream]]\nkind = \"ollama\"\n", "upstream.url: upstream number 1 has no url"},
        {"[[upstream]]\nurl = \"ftp://h\"\n", "a.toml:2: upstream.url: expected a URL such as"},
        {"[[upstream]]\nurl = \"http://h\"\nkind = \"demo\"\n", "belong together"},
        {"[[upstream]]\nurl = \"demo:\"\nkind = \"ollama\"\n", "belong together"},
        {UPSTREAM "name = \"a b\"\n", "a name has at most 64 letters"},
        {UPSTREAM "name = \"a\"\n" UPSTREAM "name = \"a\"\n", "two upstreams are called \"a\""},
        {UPSTREAM "ca_file = \"x.pem\"\n", "a ca_file needs an https:// url"},
        {"[[upstream]]\nurl = \"https://h\"\nca_file = \"gone.pem\"\n", "gone.pem cannot be read"},
        {UPSTREAM "api_key = \"${ENV:GONE}\"\n",
         "a.toml:3: upstream.api_key: the environment variable GONE is not set\n"},
        {UPSTREAM "api_key = \"\"\n", "upstream.api_key: it is empty"},
        {"[server]\nmax_header_line = \"64KB\"\nmax_header_bytes = \"16KB\"\n",
         "raise server.max_header_bytes"},
        {"[server]\nmax_body = \"2GB\"\n", "raise server.max_body_memory"},
        {"[server]\nenvironment = \"production\"\n[log]\nlevel = \"debug\"\n",
         "production does not log at level debug (a.toml:4)"},
        {"[server]\nenvironment = \"production\"\n[security]\nauth_enabled = false\n",
         "production does not run without authentication (a.toml:4)"},
        {"[server]\nenvironment = \"production\"\n",
         "server.trusted_proxies: production needs TLS"},
        {"[server]\nenvironment = \"production\"\ncors_origins = [\"*\"]\n",
         "production does not let every web page in: name the origins (a.toml:3)"},
        {"[server]\ncors_origins = [\"*\", \"https://a\"]\n", "\"*\" stands alone"},
        {"[server]\ntrusted_hosts = [\"a\", \"*\"]\n", "\"*\" stands alone"},
        {"[server]\nhttps_redirect = true\n", "there is nothing to redirect to"},
        {"[server]\nproxy_hops = 101\n", "expected a whole number from 0 to 100"},
        {"[server]\ntrusted_proxies = [\"10.0.0.1/8\"]\n",
         "server.trusted_proxies: expected a list of addresses or ranges"},
        {"[security]\n[server]\n[security]\nauth_enabled = true\n",
         "a.toml:3: the table [security] is there already; two snippets that both begin with it "
         "want "
         "merging into one table\n"},
        {"[server\n", "a.toml:1: this is not valid TOML"},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_text(&loading, rows[i].toml, NULL);
        if (loading.err != ERR_CONFIG)
            fail_msg("this was taken:\n%s", rows[i].toml);
        assert_null(loading.settings);
        expect_said(&loading, rows[i].said);
        load_end(&loading);
    }
}

static void every_mistake_is_said_once_and_in_order(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading,
              UPSTREAM "[server]\nworkers = 999\nlistn = [\"a\", \"b\"]\n[limits]\nkey = \"x\"\n",
              VARIABLES("LOG_LEVEL=loud", "BURST_IP=many"));
    assert_int_equal(loading.err, ERR_CONFIG);
    assert_string_equal(
        loading.said,
        "a.toml:4: server.workers: expected a whole number from 0 to 64, not \"999\"\n"
        "a.toml:5: unknown option \"server.listn\"; did you mean \"server.listen\"?\n"
        "a.toml:7: limits.key: expected a rate such as \"60/minute\" (per second, minute, hour or "
        "day), "
        "not \"x\"\n"
        "environment: BURST_IP: expected a whole number from 1 to 1000000, not \"many\"\n"
        "environment: LOG_LEVEL: expected one of \"debug\", \"info\", \"warning\", \"warn\", "
        "\"error\", "
        "not \"loud\"\n");
    load_end(&loading);
}

static void warnings_do_not_stop_the_start(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *toml, *said;
    } rows[] = {
        {"", "a.toml: warning: no upstream is configured"},
        {UPSTREAM "[security]\nauth_enabled = false\n", "warning: authentication is off"},
        {UPSTREAM "[security]\napi_key_enabled = false\n", "warning: API keys are off"},
        {"[[upstream]]\nurl = \"http://10.0.0.1\"\napi_key = \"k\"\n",
         "its key travels unencrypted"},
        {"[security]\naudit_logging_enabled = false\n[log]\naudit = \"\"\n",
         "warning: no upstream is configured"},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_text(&loading, rows[i].toml, NULL);
        assert_int_equal(loading.err, OK);
        expect_said(&loading, rows[i].said);
        load_end(&loading);
    }
}

static void a_file_sets_what_it_says(void **state)
{
    (void)state;
    struct loading loading;
    load_text(
        &loading,
        "[server]\nlisten = [\"http://[::1]:80\", \":90\", \"localhost:91\", \"unix:/run/s\"]\n"
        "max_body = \"1MB\"\nidle_timeout = \"500ms\"\nenvironment = \"production\"\n"
        "trusted_proxies = [\"unix\"]\ncors_origins = [\"https://A.example\"]\n"
        "[limits]\nip_burst = 7\nip = \"10/s\"\nip_counts = \"all\"\n"
        "[[limits.route]]\npath = \"/health\"\nrate = \"5/minute\"\n"
        "[[limits.route]]\npath = \"/v1/*\"\nrate = \"9/hour\"\nburst = 2\nper = \"user\"\n"
        "[endpoints]\nallow = [\"/v1/models\", \"/v1/chat/*\", \"/c\"]\n"
        "[metrics]\nallow = [\"10.0.0.0/8\", \"::1\"]\n"
        "[log]\nlevel = \"error\"\naccess = []\napp = \"\"\n"
        "[[upstream]]\nname = \"one\"\nurl = \"https://h:8443/base/\"\nkind = \"llama.cpp\"\n"
        "models = [\"a\", \"b\"]\nread_timeout = \"7s\"\n" UPSTREAM "kind = \"ollama\"\n" UPSTREAM
        "kind = \"ollama\"\n" UPSTREAM,
        NULL);
    assert_string_equal(loading.said, "");
    struct settings *s = loading.settings;
    assert_int_equal(s->server.listen.count, 4);
    assert_string_equal(s->server.listen.items[0], "http://[::1]:80");
    assert_string_equal(s->server.listen.items[1], "0.0.0.0:90");
    assert_string_equal(s->server.listen.items[2], "127.0.0.1:91");
    assert_string_equal(s->server.listen.items[3], "unix:/run/s");
    assert_int_equal(s->server.max_body_bytes, 1048576);
    assert_int_equal(s->server.idle_timeout_us, 500000);
    assert_int_equal(s->server.environment, ENVIRONMENT_PRODUCTION);
    assert_string_equal(s->server.cors_origins.items[0], "https://a.example");
    assert_int_equal(s->server.cors_methods.count, 3);
    assert_int_equal(s->server.trusted_proxies.items[0].network.family, ADDRESS_UNIX);
    assert_int_equal(s->limits.ip.requests, 10);
    assert_int_equal(s->limits.ip.period_us, 1000000);
    assert_int_equal(s->limits.ip.burst, 7);
    assert_true(s->limits.ip_counts_all);
    assert_int_equal(s->limits.route_count, 2);
    assert_string_equal(s->limits.routes[0].path, "/health");
    assert_int_equal(s->limits.routes[0].rate.burst, 5);
    assert_int_equal(s->limits.routes[0].per, PER_IP);
    assert_int_equal(s->limits.routes[1].rate.requests, 9);
    assert_int_equal(s->limits.routes[1].rate.burst, 2);
    assert_int_equal(s->limits.routes[1].per, PER_USER);
    assert_int_equal(s->abuse.protect.count, 6); /* "private" */
    assert_int_equal(s->abuse.login_spray, PATTERN_BAN);
    assert_int_equal(s->endpoints.allow.count, 3);
    assert_string_equal(s->endpoints.allow.items[2], "/c");
    assert_int_equal(s->metrics.allow.count, 2);
    assert_int_equal(s->metrics.allow.items[0].bits, 8);
    assert_int_equal(s->log.level, LOG_ERROR);
    assert_int_equal(s->log.access_count, 0);
    assert_null(s->log.app);
    assert_int_equal(s->upstream_count, 4);
    assert_int_equal(s->upstreams[0].kind, KIND_LLAMA_CPP);
    assert_true(s->upstreams[0].url.tls);
    assert_int_equal(s->upstreams[0].url.port, 8443);
    assert_int_equal(s->upstreams[0].models.count, 2);
    assert_int_equal(s->upstreams[0].read_timeout_us, 7000000);
    assert_int_equal(s->upstreams[0].connect_timeout_us, 10000000);
    assert_string_equal(s->upstreams[1].name, "ollama");
    assert_string_equal(s->upstreams[2].name, "ollama-2");
    assert_string_equal(s->upstreams[3].name, "upstream-4");
    assert_int_equal(s->upstreams[3].kind, KIND_ASK);
    load_end(&loading);
}

static void the_presets_differ_where_the_table_says(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM, NULL);
    struct settings *s = loading.settings;
    assert_int_equal(s->server.preset, PRESET_STANDARD);
    assert_int_equal(s->server.max_body_bytes, 10 << 20);
    assert_int_equal(s->limits.key.requests, 120);
    assert_int_equal(s->limits.key.burst, 20);
    load_end(&loading);
    load_text(&loading, UPSTREAM "[server]\npreset = \"agents\"\n[limits]\nkey = \"5/s\"\n", NULL);
    s = loading.settings;
    assert_int_equal(s->server.preset, PRESET_AGENTS);
    assert_int_equal(s->server.max_body_bytes, 64 << 20);
    assert_int_equal(s->limits.key.requests, 5);
    assert_int_equal(s->limits.key.burst, 200);
    assert_int_equal(s->limits.ip.requests, 60);
    load_end(&loading);
}

/* Adds one source after the other, weakest first; each must win over those before. */
static void stronger_sources_win(void **state)
{
    (void)state;
    static const char *const listen[] = {"127.0.0.1:6"};
    static const char *const addresses[] = {"127.0.0.1:8080", "127.0.0.1:2", "127.0.0.1:3",
                                            "127.0.0.1:4",    "127.0.0.1:5", "127.0.0.1:6"};
    mkdir("s", 0700);
    write_file("a.toml", UPSTREAM);
    for (unsigned step = 0; step < COUNT_OF(addresses); step++) {
        struct loading loading;
        load_begin(&loading);
        loading.arguments.file = "a.toml";
        loading.environment[0] = (char *)"SETTINGS_SECRETS_DIR=s";
        if (step == 1)
            write_file("a.toml", UPSTREAM "[server]\nlisten = [\"127.0.0.1:2\"]\n");
        if (step == 2)
            write_file("s/sallyport_server_listen", "127.0.0.1:3\n");
        if (step == 3)
            write_file(".env", "SALLYPORT_SERVER_LISTEN=127.0.0.1:4 # four\n");
        if (step >= 4)
            loading.environment[1] = (char *)"SALLYPORT_SERVER_LISTEN=127.0.0.1:5 # five";
        if (step >= 5) {
            loading.arguments.listen = (const char **)listen;
            loading.arguments.listen_count = 1;
        }
        load_run(&loading);
        assert_string_equal(loading.said, "");
        assert_int_equal(loading.settings->server.listen.count, 1);
        assert_string_equal(loading.settings->server.listen.items[0], addresses[step]);
        load_end(&loading);
    }
    remove(".env");
}

static void founding_names_of_variables_work(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *variables[3];
        const char *path_and_value; /* as `check --effective` shows it */
    } rows[] = {
        {{"INFERNO_BIND_ADDRESS=0.0.0.0"}, "listen = [\"0.0.0.0:8080\"]"},
        {{"INFERNO_BIND_PORT=9"}, "listen = [\"127.0.0.1:9\"]"},
        {{"HOLO_HOST=::1", "HOLO_PORT=9 # c"}, "listen = [\"[::1]:9\"]"},
        {{"HOLO_PORT=9", "SALLYPORT_SERVER_LISTEN=:7"}, "listen = [\"0.0.0.0:7\"]"},
        {{"ENVIRONMENT=staging"}, "environment = \"staging\""},
        {{"MAX_BODY_MB=12 # megabytes"}, "max_body = \"12MB\""},
        {{"RATE_LIMIT_IP=7/hour      # seven"}, "ip = \"7/hour\""},
        {{"BURST_IP=3"}, "ip_burst = 3"},
        {{"RATE_LIMIT_KEY=8/day"}, "key = \"8/day\""},
        {{"BURST_KEY=4"}, "key_burst = 4"},
        {{"LOG_LEVEL=WARNING"}, "level = \"warning\""},
        {{"LOG_LEVEL="}, "level = \"info\""},
        {{"LOG_FILE_PATH=x.log"}, "app = \"x.log\""},
        {{"AUDIT_LOG_FILE=x.log"}, "audit = \"x.log\""},
        {{"AUDIT_LOG_FILE="}, "audit = \"logs/audit.log\""},
        {{"SALLYPORT_SECURITY_AUDIT_LOGGING_ENABLED=false"}, "audit_logging_enabled = false"},
        {{"INFERNO_AUTH_ENABLED=false"}, "auth_enabled = false"},
        {{"DATABASE_URL=sqlite+aiosqlite:///./data/x.db"},
         "url = \"sqlite+aiosqlite:///./data/x.db\""},
        {{"ACCESS_TOKEN_EXPIRE_MINUTES=15"}, "access_token_minutes = 15"},
        {{"REFRESH_TOKEN_EXPIRE_DAYS=7 # days"}, "refresh_token_days = 7"},
        {{"INFERNO_JWT_SECRET=4Wq8zR1nLx6vKd3Tb9Yh2Mc7Pf5Gs0Ju"}, "jwt_secret = \"********\""},
        {{"SECRET_KEY=4Wq8zR1nLx6vKd3Tb9Yh2Mc7Pf5Gs0Ju"}, "jwt_secret = \"********\""},
        {{"INFERNO_ADMIN_PASSWORD=twelve chars"}, "admin_password = \"********\""},
        {{"API_KEY=your-secret-key"}, "api_key = \"********\""},
        {{"API_KEYS_FILE=a.toml # it is there"}, "api_keys_file = \"a.toml\""},
        {{"SALLYPORT_LIMITS_IP_COUNTS=all"}, "ip_counts = \"all\""},
        {{"ABUSE_THRESHOLD_ERRORS=7"}, "threshold_errors = 7"},
        {{"ABUSE_WINDOW_SECONDS=60   # a minute"}, "window_seconds = 60"},
        {{"DENYLIST_FILE=deny.txt"}, "denylist_file = \"deny.txt\""},
        {{"SALLYPORT_SECURITY_RATE_LIMITING_ENABLED=false"}, "rate_limiting_enabled = false"},
        {{"SALLYPORT_ABUSE_PROTECT=10.0.0.0/8, 127.0.0.0/8"},
         "protect = [\"10.0.0.0/8\", \"127.0.0.0/8\"]"},
        {{"SALLYPORT_LOG_ACCESS=-"}, "access = \"-\""},
        {{"SALLYPORT_METRICS_ALLOW=10.0.0.0/8, ::1"}, "allow = [\"10.0.0.0/8\", \"::1/128\"]"},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        struct buffer out = BUFFER_MAX(1 << 20);
        load_text(&loading, UPSTREAM, rows[i].variables);
        assert_int_equal(loading.err, OK);
        config_print_effective(loading.settings, false, &out);
        if (!strstr(buffer_text_of(&out), rows[i].path_and_value))
            fail_msg("expected %s in:\n%s", rows[i].path_and_value, buffer_text_of(&out));
        buffer_finish(&out);
        load_end(&loading);
    }
}

static void paths_in_the_file_are_relative_to_it(void **state)
{
    (void)state;
    struct loading loading;
    mkdir("etc", 0700);
    write_file("etc/a.toml", UPSTREAM "[store]\nurl = \"sqlite:d/x.db\"\n[log]\napp = \"/l/app\"\n"
                                      "[[log.access]]\npath = \"a\"\n[[log.access]]\npath = \"-\"\n"
                                      "[server]\nlisten = [\"unix:s\"]\n");
    write_file("etc/.env", "BURST_IP=5\n");
    load_begin(&loading);
    loading.arguments.file = "etc/a.toml";
    load_run(&loading);
    struct settings *s = loading.settings;
    assert_string_equal(loading.said, "");
    assert_string_equal(s->store.path, "etc/d/x.db");
    assert_string_equal(s->store.directory, "etc/d");
    assert_string_equal(s->log.app, "/l/app");
    assert_int_equal(s->log.access_count, 2);
    assert_string_equal(s->log.access[0].path, "etc/a");
    assert_string_equal(s->log.access[1].path, "-");
    assert_string_equal(s->server.listen.items[0], "unix:etc/s");
    assert_int_equal(s->limits.ip.burst, 5);
    load_end(&loading);
}

static void database_urls_lead_to_a_file_and_its_folder(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *variable, *path, *directory;
    } rows[] = {
        {"DATABASE_URL=", "sallyport-data/sallyport.db", "sallyport-data"},
        {"DATABASE_URL=sqlite:x.db", "x.db", "."},
        {"DATABASE_URL=sqlite:/x.db", "/x.db", "/"},
        {"DATABASE_URL=sqlite:///./d/x.db", "./d/x.db", "./d"},
        {"DATABASE_URL=sqlite+aiosqlite:////var/x.db", "/var/x.db", "/var"},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_text(&loading, UPSTREAM, VARIABLES(rows[i].variable));
        assert_string_equal(loading.settings->store.path, rows[i].path);
        assert_string_equal(loading.settings->store.directory, rows[i].directory);
        load_end(&loading);
    }
}

static void which_file_is_read(void **state)
{
    (void)state;
    struct loading loading;
    write_file("sallyport.toml", UPSTREAM);
    write_file("other.toml", UPSTREAM);
    load_begin(&loading);
    load_run(&loading);
    assert_string_equal(loading.settings->file, "sallyport.toml");
    load_end(&loading);
    load_begin(&loading);
    loading.environment[1] = (char *)"SALLYPORT_CONFIG=other.toml";
    load_run(&loading);
    assert_string_equal(loading.settings->file, "other.toml");
    load_end(&loading);
    load_begin(&loading);
    loading.arguments.demo = true;
    load_run(&loading);
    assert_null(loading.settings->file);
    load_end(&loading);
    load_begin(&loading);
    loading.arguments.file = "gone.toml";
    load_run(&loading);
    assert_int_equal(loading.err, ERR_CONFIG);
    assert_string_equal(loading.said,
                        "gone.toml: the configuration file cannot be read: it does not exist\n");
    load_end(&loading);
    remove("sallyport.toml");
}

static void the_demo_needs_no_file(void **state)
{
    (void)state;
    struct loading loading;
    load_begin(&loading);
    loading.arguments.demo = true;
    load_run(&loading);
    assert_string_equal(loading.said, "");
    assert_true(loading.settings->demo);
    assert_int_equal(loading.settings->server.preset, PRESET_AGENTS);
    assert_int_equal(loading.settings->upstream_count, 1);
    assert_int_equal(loading.settings->upstreams[0].kind, KIND_DEMO);
    assert_string_equal(loading.settings->upstreams[0].name, "demo");
    load_end(&loading);
}

static void upstreams_of_the_command_line_win(void **state)
{
    (void)state;
    static const char *const given[] = {"ollama=http://h:1", "http://h:2/a=b", "demo"};
    struct loading loading;
    load_begin(&loading);
    write_file("a.toml", UPSTREAM "api_key = \"k\"\nname = \"filed\"\n");
    loading.arguments.file = "a.toml";
    loading.arguments.upstream = (const char **)given;
    loading.arguments.upstream_count = 3;
    load_run(&loading);
    struct settings *s = loading.settings;
    assert_string_equal(loading.said, "");
    assert_int_equal(s->server.preset, PRESET_STANDARD);
    assert_int_equal(s->upstream_count, 3);
    assert_int_equal(s->upstreams[0].kind, KIND_OLLAMA);
    assert_string_equal(s->upstreams[0].url_text, "http://h:1");
    assert_true(secret_empty(&s->upstreams[0].api_key));
    assert_int_equal(s->upstreams[1].kind, KIND_ASK);
    assert_string_equal(s->upstreams[1].url_text, "http://h:2/a=b");
    assert_int_equal(s->upstreams[2].kind, KIND_DEMO);
    load_end(&loading);

    static const char *const wrong[] = {"olama=http://h:1"};
    load_begin(&loading);
    loading.arguments.file = "a.toml";
    loading.arguments.upstream = (const char **)wrong;
    loading.arguments.upstream_count = 1;
    load_run(&loading);
    assert_int_equal(loading.err, ERR_CONFIG);
    expect_said(&loading, "command line: --upstream: expected one of \"ollama\"");
    load_end(&loading);
}

static void a_key_of_the_environment_goes_to_its_own_upstream_only(void **state)
{
    (void)state;
    static const char *const given[] = {"http://127.0.0.1:1", "http://127.0.0.1:2"};
    // clang-format off
    static const struct {
        const char *toml;
        const char *variables[3];
        unsigned arguments;
        enum err err;
        bool has_key;
        const char *said;
    } rows[] = {
        {"",
         {"SALLYPORT_UPSTREAM_URL=http://127.0.0.1:9", "SALLYPORT_UPSTREAM_API_KEY=k # x"},
         0,
         OK,
         true,
         ""},
        {"", {"SALLYPORT_UPSTREAM_API_KEY=k"}, 1, OK, true, ""},
        {"", {"SALLYPORT_UPSTREAM_URL=http://h", "SALLYPORT_UPSTREAM_API_KEY=k"}, 1, OK, false, ""},
        {"", {"SALLYPORT_UPSTREAM_API_KEY=k"}, 2, ERR_CONFIG, false, "the command line names 2"},
        {"", {"SALLYPORT_UPSTREAM_API_KEY=k"}, 0, OK, false, "SALLYPORT_UPSTREAM_URL is not set"},
        {UPSTREAM, {"SALLYPORT_UPSTREAM_API_KEY=k"}, 0, OK, false, "it is not used"},
        {"",
         {"SALLYPORT_UPSTREAM_API_KEY=k", "SALLYPORT_UPSTREAM_API_KEY_FILE=x"},
         1,
         ERR_CONFIG,
         false,
         "only one of them may be"},
        {"", {"SALLYPORT_UPSTREAM_API_KEY_FILE=gone"}, 1, ERR_CONFIG, false, "gone cannot be read"},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        load_begin(&loading);
        write_file("a.toml", rows[i].toml);
        loading.arguments.file = "a.toml";
        loading.arguments.upstream = (const char **)given;
        loading.arguments.upstream_count = rows[i].arguments;
        for (unsigned n = 0; rows[i].variables[n]; n++)
            loading.environment[n + 1] = (char *)rows[i].variables[n];
        load_run(&loading);
        assert_int_equal(loading.err, rows[i].err);
        expect_said(&loading, rows[i].said);
        if (loading.err == OK && loading.settings->upstream_count)
            assert_int_equal(!secret_empty(&loading.settings->upstreams[0].api_key),
                             rows[i].has_key);
        load_end(&loading);
    }
}

static void a_secret_is_taken_whole_from_each_of_its_sources(void **state)
{
    (void)state;
    mkdir("s2", 0700);
    write_file("key", "a # b\n");
    // clang-format off
    static const struct {
        const char *toml, *variable, *dotenv, *secret_file, *value;
    } rows[] = {
        {UPSTREAM "api_key = \"a # b\"\n", "X=", "", NULL, "a # b"},
        {UPSTREAM "api_key = \"${FILE:key}\"\n", "X=", "", NULL, "a # b"},
        {UPSTREAM "api_key = \"x-${ENV:K}\"\n", "K=a # b", "", NULL, "x-a # b"},
        {UPSTREAM "api_key = \"${ENV:K}\"\n", "X=", "K='a # b'", NULL, "a # b"},
        {"", "SALLYPORT_UPSTREAM_API_KEY=a # b", "SALLYPORT_UPSTREAM_URL=http://127.0.0.1", NULL,
         "a # b"},
        {"", "SALLYPORT_UPSTREAM_API_KEY_FILE=key", "SALLYPORT_UPSTREAM_URL=http://127.0.0.1", NULL,
         "a # b"},
        {"", "X=", "SALLYPORT_UPSTREAM_URL=http://127.0.0.1", "a # b\n", "a # b"},
    };
    // clang-format on
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct loading loading;
        write_file(".env", rows[i].dotenv);
        if (rows[i].secret_file)
            write_file("s2/Sallyport_Upstream_Api_Key", rows[i].secret_file);
        write_file("a.toml", rows[i].toml);
        load_begin(&loading);
        loading.arguments.file = "a.toml";
        loading.environment[0] = (char *)"SETTINGS_SECRETS_DIR=s2";
        loading.environment[1] = (char *)rows[i].variable;
        load_run(&loading);
        assert_string_equal(loading.said, "");
        struct slice key = secret_reveal(&loading.settings->upstreams[0].api_key);
        assert_true(slice_equal(key, slice_of(rows[i].value)));
        load_end(&loading);
    }
    remove(".env");
}

static void an_unknown_variable_of_ours_is_warned_about(void **state)
{
    (void)state;
    struct loading loading;
    load_text(&loading, UPSTREAM,
              VARIABLES("SALLYPORT_LIMTS_IP=1/s", "SALLYPORT_PORT_80_TCP=x",
                        "SALLYPORT_SERVICE_HOST=y", "OTHER=z"));
    assert_int_equal(loading.err, OK);
    assert_string_equal(loading.said,
                        "environment: SALLYPORT_LIMTS_IP: warning: no option has this variable; "
                        "did you mean SALLYPORT_LIMITS_IP?\n");
    load_end(&loading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_explained_with_file_line_and_key),
        cmocka_unit_test(every_mistake_is_said_once_and_in_order),
        cmocka_unit_test(warnings_do_not_stop_the_start),
        cmocka_unit_test(a_file_sets_what_it_says),
        cmocka_unit_test(the_presets_differ_where_the_table_says),
        cmocka_unit_test(stronger_sources_win),
        cmocka_unit_test(founding_names_of_variables_work),
        cmocka_unit_test(paths_in_the_file_are_relative_to_it),
        cmocka_unit_test(database_urls_lead_to_a_file_and_its_folder),
        cmocka_unit_test(which_file_is_read),
        cmocka_unit_test(the_demo_needs_no_file),
        cmocka_unit_test(upstreams_of_the_command_line_win),
        cmocka_unit_test(a_key_of_the_environment_goes_to_its_own_upstream_only),
        cmocka_unit_test(a_secret_is_taken_whole_from_each_of_its_sources),
        cmocka_unit_test(an_unknown_variable_of_ours_is_warned_about),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
