#include "io/resolver.h"

#include <netdb.h>
#include <netinet/in.h>

static void resolve(struct job *job)
{
    struct lookup *lookup = CONTAINER_OF(job, struct lookup, job);
    struct addrinfo wanted = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *all = NULL;
    lookup->err = ERR_NOT_FOUND;
    if (getaddrinfo(lookup->host, NULL, &wanted, &all) != 0)
        return;
    for (struct addrinfo *one = all; one && lookup->count < LOOKUP_ADDRESSES_MAX;
         one = one->ai_next) {
        struct endpoint_address *endpoint = &lookup->found[lookup->count];
        if (one->ai_addrlen > sizeof endpoint->storage)
            continue;
        *endpoint = (struct endpoint_address){.len = one->ai_addrlen};
        memcpy(&endpoint->storage, one->ai_addr, one->ai_addrlen);
        uint16_t port = htons((uint16_t)lookup->port);
        if (one->ai_family == AF_INET)
            ((struct sockaddr_in *)&endpoint->storage)->sin_port = port;
        else if (one->ai_family == AF_INET6)
            ((struct sockaddr_in6 *)&endpoint->storage)->sin6_port = port;
        else
            continue;
        lookup->count++;
    }
    freeaddrinfo(all);
    lookup->err = lookup->count ? OK : ERR_NOT_FOUND;
}

static void resolved(struct job *job)
{
    struct lookup *lookup = CONTAINER_OF(job, struct lookup, job);
    lookup->done(lookup);
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
    lookup->job = (struct job){.run = resolve, .done = resolved, .home = home};
    TRY(jobs_submit(jobs, LANE_RESOLVE, &lookup->job));
    return ERR_AGAIN;
}
