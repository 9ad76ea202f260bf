/* See resolver.h. The hard problem: those that share an answer are on other loops, and each of them
 * may go at the end of its own time. So the thread that has the answer copies it into every lookup
 * that waits and mails each to its loop; it never follows a pointer from one loop to another. The
 * lookup that leads stays where it is until its own message, which is the last one sent. */
#include "io/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

/* The names being looked up, for all loops together: the system's resolver is the process's. */
static struct {
    pthread_mutex_t lock; /* for their lists of those that wait, too */
    struct list leading;
} under_way = {
    PTHREAD_MUTEX_INITIALIZER, {&under_way.leading, &under_way.leading}
};

static void set_port(struct endpoint_address *endpoint, unsigned port)
{
    if (endpoint->any.sa_family == AF_INET)
        ((struct sockaddr_in *)&endpoint->storage)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)&endpoint->storage)->sin6_port = htons((uint16_t)port);
}

static void ask_system(struct lookup *lookup)
{
    struct addrinfo wanted = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *all = NULL;
    lookup->err = ERR_NOT_FOUND;
    if (getaddrinfo(lookup->host, NULL, &wanted, &all) != 0)
        return;
    for (struct addrinfo *one = all; one && lookup->count < LOOKUP_ADDRESSES_MAX;
         one = one->ai_next) {
        struct endpoint_address *endpoint = &lookup->found[lookup->count];
        bool known = one->ai_family == AF_INET || one->ai_family == AF_INET6;
        if (!known || one->ai_addrlen > sizeof endpoint->storage)
            continue;
        *endpoint = (struct endpoint_address){.len = one->ai_addrlen};
        memcpy(&endpoint->storage, one->ai_addr, one->ai_addrlen);
        set_port(endpoint, lookup->port);
        lookup->count++;
    }
    freeaddrinfo(all);
    lookup->err = lookup->count ? OK : ERR_NOT_FOUND;
}

static void deliver_answer(struct message *message)
{
    struct lookup *lookup = CONTAINER_OF(message, struct lookup, job.message);
    lookup->done(lookup);
}

/* On the lane's thread. Nobody can join any more: the lookup no longer leads. */
static void share_answer(struct lookup *leader)
{
    pthread_mutex_lock(&under_way.lock);
    list_remove(&leader->link);
    pthread_mutex_unlock(&under_way.lock);
    for (struct list *link; (link = list_pop(&leader->waiting));) {
        struct lookup *lookup = LIST_OF(link, struct lookup, link);
        lookup->err = leader->err;
        lookup->count = leader->count;
        memcpy(lookup->found, leader->found, leader->count * sizeof *leader->found);
        for (unsigned i = 0; i < lookup->count; i++)
            set_port(&lookup->found[i], lookup->port);
        lookup->job.message.deliver = deliver_answer;
        loop_post(lookup->job.home, &lookup->job.message); /* it is its loop's from here on */
    }
}

static void resolve(struct job *job)
{
    struct lookup *lookup = CONTAINER_OF(job, struct lookup, job);
    ask_system(lookup);
    share_answer(lookup);
}

static void drop(struct job *job)
{
    share_answer(CONTAINER_OF(job, struct lookup, job));
}

static void resolved(struct job *job)
{
    struct lookup *lookup = CONTAINER_OF(job, struct lookup, job);
    lookup->done(lookup);
}

/* The lookup of the same name that is under way, or NULL. */
static struct lookup *find_leader(const char *host)
{
    LIST_EACH(link, &under_way.leading)
    {
        struct lookup *leader = LIST_OF(link, struct lookup, link);
        if (!strcmp(leader->host, host))
            return leader;
    }
    return NULL;
}

/* Waits for the answer to the same question, or asks it. */
static enum err join_or_lead(struct lookup *lookup, struct jobs *jobs)
{
    enum err err = OK;
    pthread_mutex_lock(&under_way.lock);
    struct lookup *leader = find_leader(lookup->host);
    if (!leader) /* the lane's thread waits for our lock before it shares the answer */
        err = jobs_submit(jobs, LANE_RESOLVE, &lookup->job);
    if (!err)
        list_append(leader ? &leader->waiting : &under_way.leading, &lookup->link);
    pthread_mutex_unlock(&under_way.lock);
    return err;
}

enum err lookup_start(struct lookup *lookup, struct jobs *jobs, struct loop *home,
                      struct slice host, unsigned port)
{
    struct address numeric;
    lookup->count = 0;
    lookup->err = OK;
    lookup->port = port;
    if (address_parse(host, &numeric) == OK) {
        lookup->found[lookup->count++] = endpoint_of_address(&numeric, port);
        return OK;
    }
    if (host.len == 0 || host.len >= sizeof lookup->host)
        return ERR_LIMIT;
    memcpy(lookup->host, host.ptr, host.len);
    lookup->host[host.len] = '\0';
    lookup->err = ERR_BUSY; /* until it was carried out */
    lookup->job = (struct job){.run = resolve, .drop = drop, .done = resolved, .home = home};
    list_init(&lookup->link);
    list_init(&lookup->waiting);
    TRY(join_or_lead(lookup, jobs));
    return ERR_AGAIN;
}
