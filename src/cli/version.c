#include "cli/version.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

#ifdef ARENA_CHECKED
#define BUILD "checked (AddressSanitizer)"
#else
#define BUILD "release"
#endif

int command_version(int argc, char **argv)
{
    bool json = argc == 2 && !strcmp(argv[1], "--json");
    if (argc > 1 && !json) {
        bool help = !strcmp(argv[1], "--help");
        fputs("usage: sallyport version [--json]\n", help ? stdout : stderr);
        return help ? 0 : 2;
    }
    printf(json ? "{\"version\":\"%s\",\"build\":\"%s\",\"openssl\":\"%s\",\"sqlite\":\"%s\","
                  "\"jansson\":\"%s\"}\n"
                : "sallyport %s (%s)\n%s\nSQLite %s\njansson %s\n",
           SALLYPORT_VERSION, BUILD, OpenSSL_version(OPENSSL_VERSION), sqlite3_libversion(),
           jansson_version_str());
    return 0;
}
