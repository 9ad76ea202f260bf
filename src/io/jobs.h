/* The job pool: a few threads for what is slow (name resolution, files, SQL, later password
 * hashing), in lanes with bounds of their own, so that a storm in one delays no other. */
#ifndef IO_JOBS_H
#define IO_JOBS_H

#include "io/loop.h"

enum lane {
    LANE_STORE,     /* what the native API changes and looks up; what a row that names none has */
    LANE_RESOLVE,   /* getaddrinfo */
    LANE_FILE,      /* certificates, what is saved now and then, the end */
    LANE_CHALLENGE, /* files that strangers ask for */
    LANE_PROBE,     /* asking upstreams what they are */
    LANE_HASH,      /* passwords: slow on purpose, and last in line for a core */
    LANE_AUDIT,     /* reading the audit log, however long it is */
    LANE_COUNT
};

/* `run` happens on a thread of the lane, `done` afterwards on `home`, the loop that asked. The
 * owner keeps the job where it is until `done` was called. */
struct job {
    void (*run)(struct job *job);
    void (*drop)(struct job *job); /* in its stead, when the pool ends before; may be NULL */
    void (*done)(struct job *job);
    struct loop *home;
    struct list link;
    struct message message;
};

struct jobs;

/* ERR_MEMORY, ERR_IO. */
enum err jobs_create(struct jobs **jobs) MUST_CHECK;
/* Finishes what is running; what is still waiting is not run, but its `done` is posted. Nothing can
 * be submitted any more. While the loops still turn: a job may wait for them. */
void jobs_stop(struct jobs *jobs);
/* Stops it, if that was not done. NULL is fine. */
void jobs_destroy(struct jobs *jobs);
/* Returns when a lane has nothing to do; the caller sees to it that nobody submits more. From any
 * thread but the lane's own. */
void jobs_settle(struct jobs *jobs, enum lane lane);
/* From any thread. ERR_BUSY: the lane is full. */
enum err jobs_submit(struct jobs *jobs, enum lane lane, struct job *job) MUST_CHECK;

#endif
