/* `sallyport check`. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

/* argv[0] is "check". Returns the exit status. */
int command_check(int argc, char **argv);

#endif
