/* `sallyport version`. */
#ifndef CLI_VERSION_H
#define CLI_VERSION_H

int command_version(int argc, char **argv);

#endif
