/* Secrets that a gateway without a configuration file makes for itself (cli/first_start.c), in
 * files of the data folder: what nobody said is read from there, at the start and at each reload.
 */
#include <stdio.h>

#include "config/file_text.h"
#include "config/load.h"

static enum err load_one(struct load *load, const struct secret *said, const char *path,
                         const char *name)
{
    const struct option *option = option_find(slice_of(path));
    if (!secret_empty(said))
        return OK;
    char file[4096];
    AUTO(file_text) text = {0};
    snprintf(file, sizeof file, "%s/%s", load->settings->store.directory, name);
    enum err err = file_text_read(&text, file, SECRET_BYTES_MAX);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK) {
        faults_add(load->faults, file, 0, path, "cannot be read: %s", file_text_why(err));
        return ERR_CONFIG;
    }
    struct source source = {.file = file, .option = path, .origin = "the data folder"};
    return load_value(load, load->object, option, file_text_line(&text), &source);
}

enum err load_generated(struct load *load)
{
    if (!load->settings->self_contained)
        return OK;
    const struct settings *settings = load->settings;
    TRY(load_one(load, &settings->security.jwt_secret, "security.jwt_secret",
                 SETTINGS_SECRET_FILE));
    return load_one(load, &settings->security.admin_password, "security.admin_password",
                    SETTINGS_PASSWORD_FILE);
}
