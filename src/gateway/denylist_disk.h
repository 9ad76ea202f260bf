/* The two ways in which the deny-list's file is written. They wait for the disk. */
#ifndef GATEWAY_DENYLIST_DISK_H
#define GATEWAY_DENYLIST_DISK_H

#include "base/err.h"
#include "base/slice.h"

/* Writes whole lines behind what is there, on a line of their own. `*as_expected`: the file has
 * `expected_len` bytes now, so nobody else wrote. ERR_NOT_FOUND: there is no file, and none was
 * made. ERR_IO with errno: nothing was written, or it was taken back. */
enum err deny_disk_append(const char *path, struct slice lines, size_t expected_len,
                          bool *as_expected) MUST_CHECK;
/* Makes `bytes` the file, in one step where the folder allows it, with the old one's mode and
 * owner; behind a symbolic link, what it points to. Missing folders are made. ERR_AGAIN: the file's
 * stamp (file_stamp.h) is not `stamp` any more. ERR_IO with errno. */
enum err deny_disk_replace(const char *path, struct slice bytes, uint64_t stamp) MUST_CHECK;

#endif
