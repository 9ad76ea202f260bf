/* The schema, as the row of steps that made it. A step that has been released is never changed: a
 * mistake in it is mended by the next one. Each step sets its own number as its last statement,
 * inside the transaction that sqlite.c puts around it, so that schema and number cannot part. */
#include "store/migrations.h"

#include <stddef.h>

/* The bits of `permissions` are those of enum permission; their places are part of this schema.
 * STRICT tables keep a text out of a number's column whoever writes to the file. `number` is
 * declared, so that VACUUM keeps the order of making. */
// clang-format off
static const struct migration migrations[] = {
    {1, "CREATE TABLE api_keys ("
        "  number INTEGER PRIMARY KEY,"
        "  id TEXT NOT NULL UNIQUE CHECK (length(id) = 12),"
        "  secret_sha256 BLOB NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),"
        "  name TEXT NOT NULL,"
        "  owner TEXT NOT NULL,"
        "  permissions INTEGER NOT NULL CHECK (permissions >= 0),"
        "  models_json TEXT NOT NULL,"
        "  created_epoch_s INTEGER NOT NULL CHECK (created_epoch_s >= 0),"
        "  expires_epoch_s INTEGER NOT NULL CHECK (expires_epoch_s >= 0),"
        "  revoked_epoch_s INTEGER NOT NULL CHECK (revoked_epoch_s >= 0),"
        "  last_used_epoch_s INTEGER NOT NULL CHECK (last_used_epoch_s >= 0)"
        ") STRICT;"
        "PRAGMA application_id = 1396788313;" /* STORE_APPLICATION_ID */
        "PRAGMA user_version = 1;"},
    {0, NULL},
};
// clang-format on

const struct migration *migration_table(void)
{
    return migrations;
}

int migration_latest(void)
{
    return migrations[sizeof migrations / sizeof migrations[0] - 2].number;
}
