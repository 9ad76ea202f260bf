/* `sallyport denylist list|add|remove`. */
#ifndef CLI_DENYLIST_H
#define CLI_DENYLIST_H

/* 0 done, 1 failed, 2 wrong usage, 78 wrong configuration. */
int command_denylist(int argc, char **argv);

#endif
