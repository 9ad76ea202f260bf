/* `sallyport audit show|verify`. */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

/* 0 done (verify: the log is whole), 1 failed, 2 wrong usage, 78 wrong configuration. */
int command_audit(int argc, char **argv);

#endif
