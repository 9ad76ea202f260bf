#include "cli/welcome.h"

#include <stdio.h>

#include "api/verb.h"
#include "base/clock.h"

#define JSON_TYPE " -H 'Content-Type: application/json' "

enum { COMMAND_BYTES_MAX = 8 * 1024 };

/* "curl OPTIONS http://ADDRESS". A first try may well have a certificate that nobody else knows. */
static void print_command(struct buffer *out, const struct settings *settings, const char *options,
                          const char *address)
{
    bool tls = settings_listen_tls(settings, 0);
    buffer_text(out, "curl");
    if (tls)
        buffer_printf(out, " --cacert %s", settings->server.tls_certificates.items[0]);
    buffer_printf(out, "%s %s://%s", options, tls ? "https" : "http", address);
}

static void print_lines(const char *curl, const char *curl_unbuffered, struct slice key)
{
    printf("\nThe demo model is behind the gate. Your API key (shown once):\n\n  %.*s\n\n"
           "A chat:\n\n"
           "  %s/v1/chat/completions -H 'Authorization: Bearer %.*s'" JSON_TYPE
           "-d '{\"model\":\"sallyport-demo\","
           "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n"
           "The same, streamed:\n\n"
           "  %s/v1/chat/completions -H 'Authorization: Bearer %.*s'" JSON_TYPE
           "-d '{\"model\":\"sallyport-demo\",\"stream\":true,"
           "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n"
           "The models:\n\n"
           "  %s/v1/models -H 'Authorization: Bearer %.*s'\n\n",
           SLICE_ARG(key), curl, SLICE_ARG(key), curl_unbuffered, SLICE_ARG(key), curl,
           SLICE_ARG(key));
}

static void print_admin(const struct settings *settings, const char *curl, bool made)
{
    if (!made) {
        printf("To sign in as admin: the password is what the first start said, or the line in\n"
               "%s/" SETTINGS_PASSWORD_FILE ".\n\n",
               settings->store.directory);
        return;
    }
    struct slice password = secret_reveal(&settings->security.admin_password);
    printf("The user admin may do everything; the password (kept in %s/" SETTINGS_PASSWORD_FILE
           "):\n\n  %.*s\n\n"
           "Signing in:\n\n"
           "  %s/api/v1/auth/login" JSON_TYPE
           "-d '{\"username\":\"admin\",\"password\":\"%.*s\"}'\n\n",
           settings->store.directory, SLICE_ARG(password), curl, SLICE_ARG(password));
}

static enum err record_key(void *context, struct slice id)
{
    const struct desk *desk = context;
    char memory[64];
    struct buffer path = BUFFER_OVER(memory, sizeof memory);
    buffer_printf(&path, "/api/v1/auth/api-keys/%.*s", SLICE_ARG(id));
    const struct audit_record record = {.wall_us = clock_wall_us(),
                                        .now_us = clock_now_us(),
                                        .event = AUDIT_KEY_CREATE,
                                        .actor = SLICE("system"),
                                        .path = buffer_slice(&path),
                                        .reason = SLICE("demo")};
    return desk->audit ? audit_append(desk->audit, &record) : OK;
}

enum err welcome(const struct settings *settings, const struct desk *desk, const char *address,
                 bool made_admin)
{
    AUTO(buffer) curl = BUFFER_MAX(COMMAND_BYTES_MAX), unbuffered = BUFFER_MAX(COMMAND_BYTES_MAX);
    AUTO(secret) plain = {0};
    struct api_key *key;
    struct key_request request = {
        .name = SLICE("demo"),
        .permissions = READ_MODELS | RUN_INFERENCE | USE_STREAMING | READ_METRICS,
        .before = record_key,
        .context = (void *)desk,
    };
    TRY(keyring_create_key(desk->keyring, desk->store, &request, clock_credential_s(), &plain,
                           &key));
    api_key_unref(key);
    print_command(&curl, settings, "", address);
    print_command(&unbuffered, settings, " -N", address);
    print_lines(buffer_text_of(&curl), buffer_text_of(&unbuffered), secret_reveal(&plain));
    if (settings_has_sign_in(settings))
        print_admin(settings, buffer_text_of(&curl), made_admin);
    puts("Ctrl-C ends it. For a real model server: sallyport serve --upstream "
         "ollama=http://127.0.0.1:11434");
    fflush(stdout);
    return OK;
}
