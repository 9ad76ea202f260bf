/* Files of the data folder: made with mode 0600, never through a symbolic link. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

/* Opens `name` in the folder for reading and writing; makes it when `flags` has O_CREAT. A file
 * that root makes in somebody else's folder is given to the folder's owner, else the service could
 * not open it later. The descriptor, or -1 with errno: EINVAL when it is not a regular file. */
int file_open_private(int directory_fd, const char *name, int flags);

#endif
