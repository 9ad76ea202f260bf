/* `sallyport key create|list|show|revoke`. */
#ifndef CLI_KEY_H
#define CLI_KEY_H

/* argv[0] is "key". The exit status: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration. */
int command_key(int argc, char **argv);

#endif
