/* `sallyport hash-password`. */
#ifndef CLI_HASH_PASSWORD_H
#define CLI_HASH_PASSWORD_H

/* argv[0] is "hash-password". The exit status: 0 done, 1 failed, 2 wrong usage. */
int command_hash_password(int argc, char **argv);

#endif
