/* Whether a file may have changed, without reading it. */
#ifndef CONFIG_FILE_STAMP_H
#define CONFIG_FILE_STAMP_H

#include <stdint.h>

/* A number that differs once the file was replaced, written to, chmodded or removed; over `stamp`,
 * which is that of other files looked at together, or 0. Differs from process to process. */
uint64_t file_stamp(uint64_t stamp, const char *path);

#endif
