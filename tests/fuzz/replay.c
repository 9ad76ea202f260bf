/* The main of a fuzz target in the ordinary test run: reads every file of its corpus once and says
 * so in cmocka's words, which tests/run counts. With arguments it reads those files instead, to
 * look at what `make fuzz` found. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

enum { INPUT_BYTES_MAX = 1024 * 1024 };

static bool replay(const char *path, const char *name)
{
    static char bytes[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("[  FAILED  ] %s: it cannot be read\n", name);
        return false;
    }
    struct slice input = slice_make(bytes, fread(bytes, 1, sizeof bytes, file));
    fclose(file);
    printf("[ RUN      ] %s\n", name);
    fflush(stdout);
    char *copy = fuzz_copy(input);
    LLVMFuzzerTestOneInput((const uint8_t *)copy, input.len);
    free(copy);
    printf("[       OK ] %s\n", name);
    return true;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, visible, alphasort), failed = 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        failed += !replay(path, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (count <= 0)
        printf("[  FAILED  ] %s: no corpus\n", folder);
    return count > 0 && failed == 0;
}

int main(int argc, char **argv)
{
    bool good = true;
    for (int i = 1; i < argc; i++)
        good &= replay(argv[i], argv[i]);
    if (argc == 1)
        good = replay_folder(FUZZ_CORPUS);
    return good ? 0 : 1;
}
