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
    /* Accounts, their sessions, and the SHA-256 of every refresh token that these ever had: one that
     * comes again must be known again. The number of a user stands in tokens and logs that outlive
     * it, so AUTOINCREMENT keeps it from the next one. An empty password is none and is not kept.
     * The index by the time of making has the list in its order without a sort. */
    {2, "CREATE TABLE users ("
        "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  name TEXT NOT NULL UNIQUE CHECK (length(name) > 0),"
        "  password TEXT NOT NULL CHECK (length(password) > 0),"
        "  role TEXT NOT NULL CHECK (role IN ('admin', 'user', 'service', 'guest')),"
        "  disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),"
        "  created_epoch_s INTEGER NOT NULL CHECK (created_epoch_s >= 0),"
        "  password_epoch_s INTEGER NOT NULL CHECK (password_epoch_s >= 0),"
        "  last_login_epoch_s INTEGER NOT NULL CHECK (last_login_epoch_s >= 0)"
        ") STRICT;"
        "CREATE TABLE sessions ("
        "  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 22),"
        "  user_number INTEGER NOT NULL REFERENCES users (number) ON DELETE CASCADE,"
        "  created_epoch_s INTEGER NOT NULL CHECK (created_epoch_s >= 0),"
        "  expires_epoch_s INTEGER NOT NULL CHECK (expires_epoch_s >= 0),"
        "  revoked_epoch_s INTEGER NOT NULL CHECK (revoked_epoch_s >= 0)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX sessions_by_user ON sessions (user_number);"
        "CREATE INDEX sessions_by_creation ON sessions (created_epoch_s);"
        "CREATE TABLE refresh_tokens ("
        "  sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),"
        "  session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,"
        "  used_epoch_s INTEGER NOT NULL CHECK (used_epoch_s >= 0)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);"
        "PRAGMA user_version = 2;"},
    /* What else a key may be held to. The keys that were there before are held to nothing more: an
     * empty text is no list, no rate. The index finds the keys of an account. */
    {3, "ALTER TABLE api_keys ADD COLUMN endpoints_json TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE api_keys ADD COLUMN ip_ranges_json TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE api_keys ADD COLUMN rate TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE api_keys ADD COLUMN burst INTEGER NOT NULL DEFAULT 0 CHECK (burst >= 0);"
        "ALTER TABLE api_keys ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0"
        "  CHECK (disabled IN (0, 1));"
        "CREATE INDEX api_keys_by_owner ON api_keys (owner);"
        "PRAGMA user_version = 3;"},
    /* Keys that came from elsewhere with a slow hash of their whole text. Their secret_sha256 is of a
     * text that no secret is (identity/keyring.h), so that the fast way never opens them. */
    {4, "ALTER TABLE api_keys ADD COLUMN bcrypt TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE api_keys ADD COLUMN unnamed INTEGER NOT NULL DEFAULT 0"
        "  CHECK (unnamed IN (0, 1) AND (unnamed = 0 OR bcrypt <> ''));"
        "PRAGMA user_version = 4;"},
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
