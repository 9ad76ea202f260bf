/* The canonical path, for the readers of targets and of URLs. */
#ifndef PROTO_PATH_H
#define PROTO_PATH_H

#include "base/slice.h"

/* Is `path` what target.h calls canonical? One pass. */
bool path_canonical(struct slice path);

#endif
