/* The numbered steps from an empty database to today's; sqlite.c runs those that are missing. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

struct migration {
    int number;      /* what PRAGMA user_version is afterwards; 1, 2, 3, ... */
    const char *sql; /* several statements; run in one transaction */
};

/* Ends with a NULL sql. */
const struct migration *migration_table(void);
/* The number of the last one. */
int migration_latest(void);

/* PRAGMA application_id, "SALY": tells our databases from everybody else's. */
enum { STORE_APPLICATION_ID = 0x53414c59 };

#endif
