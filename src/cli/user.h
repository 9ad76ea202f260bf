/* `sallyport user`: accounts, which sign in with a name and a password. */
#ifndef CLI_USER_H
#define CLI_USER_H

/* The exit status. argv[0] is "user". */
int command_user(int argc, char **argv);

#endif
