/* `sallyport serve`. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

/* argv[0] is "serve". Returns the exit status. */
int command_serve(int argc, char **argv);

#endif
