#include "guard/proxies.h"

#include "proto/target.h"

enum { ENTRIES_MAX = 100 }; /* looked at, of all X-Forwarded-For lines together */

static const struct slice forwarded_proto = SLICE("X-Forwarded-Proto"),
                          forwarded_for = SLICE("X-Forwarded-For");

bool proxies_trust(const struct settings *settings, const struct address *peer)
{
    const struct cidr_list *trusted = &settings->server.trusted_proxies;
    return cidrs_contain(trusted->items, trusted->count, peer);
}

static bool is_forwarded_for(const struct field *field)
{
    return field->row && field->row->id == FIELD_X_FORWARDED_FOR;
}

/* An address, perhaps with a port, IPv6 perhaps in brackets. Everything else (a name, "unknown", a
 * zone) is ERR_SYNTAX. */
static enum err entry_parse(struct slice text, struct address *address)
{
    struct slice host;
    unsigned port;
    if (address_parse(text, address) == OK)
        return OK;
    TRY(authority_parse(text, &host, &port));
    return address_parse(host, address);
}

/* Takes the last element off the list. */
static struct slice cut_last(struct slice *list)
{
    size_t comma = list->len;
    while (comma && list->ptr[comma - 1] != ',')
        comma--;
    struct slice last = slice_from(*list, comma);
    list->len = comma ? comma - 1 : 0;
    return slice_trim(last);
}

/* The chain of X-Forwarded-For, read from its end, where the nearest proxy wrote. */
struct chain {
    const struct request_head *head;
    unsigned field; /* the next line to look at, plus one */
    struct slice rest;
    unsigned entries;
};

/* ERR_NOT_FOUND: no further entry, or one that is no address, which ends what can be believed. */
static enum err chain_next(struct chain *chain, struct address *address)
{
    while (chain->rest.len == 0) {
        if (chain->field == 0)
            return ERR_NOT_FOUND;
        const struct field *field = &chain->head->fields[--chain->field];
        if (is_forwarded_for(field))
            chain->rest = field->value;
    }
    if (chain->entries++ == ENTRIES_MAX)
        return ERR_NOT_FOUND;
    return entry_parse(cut_last(&chain->rest), address) == OK ? OK : ERR_NOT_FOUND;
}

struct address proxies_find_client(const struct settings *settings, const struct request_head *head,
                                   const struct address *peer)
{
    struct address client = *peer, next;
    struct chain chain = {.head = head, .field = head->field_count};
    uint64_t hops = settings->server.proxy_hops;
    for (uint64_t passed = 0; hops == 0 || passed < hops; passed++) {
        if (!proxies_trust(settings, &client) || chain_next(&chain, &next) != OK)
            break;
        client = next;
    }
    return client;
}

bool proxies_find_secure(const struct settings *settings, const struct request_head *head,
                         const struct address *peer, bool peer_speaks_tls)
{
    unsigned said = 0, said_https = 0;
    if (!proxies_trust(settings, peer))
        return peer_speaks_tls;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (!slice_equal_nocase(head->fields[i].name, forwarded_proto))
            continue;
        said++;
        said_https += slice_equal_nocase(head->fields[i].value, SLICE("https"));
    }
    /* Two words for it are no word: one of them may be the client's own. */
    return said ? said == 1 && said_https == 1 : peer_speaks_tls;
}

bool proxies_passed(const struct request_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (is_forwarded_for(&head->fields[i]) ||
            slice_equal_nocase(head->fields[i].name, forwarded_proto))
            return true;
    return false;
}

bool proxies_passed_unread(struct slice head)
{
    while (head.len) {
        struct slice line = slice_cut(&head, '\n');
        if (slice_starts_nocase(line, forwarded_for) || slice_starts_nocase(line, forwarded_proto))
            return true;
    }
    return false;
}
