#include "cli/key_import.h"

#include <stdio.h>
#include <string.h>

#include "config/file_text.h"
#include "identity/keys_file.h"

static int refuse(const char *path, const char *why)
{
    fprintf(stderr, "sallyport key: %s: %s\n", path, why);
    return 1;
}

int key_import_read(json_t *request)
{
    AUTO(file_text) text = {0};
    json_t *path = json_object_get(request, "id");
    enum err err = file_text_read(&text, json_string_value(path), KEYS_FILE_BYTES_MAX);
    if (err != OK)
        return refuse(json_string_value(path), file_text_why(err));
    if ((text.len && memchr(text.bytes, '\0', text.len)) ||
        json_object_set_new(request, "text", json_stringn(text.len ? text.bytes : "", text.len)))
        return refuse(json_string_value(path), "it is no text in UTF-8");
    json_object_set(request, "file", path);
    json_object_del(request, "id");
    return 0;
}
