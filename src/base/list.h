/* An intrusive doubly linked list: a `struct list` is both the head and the link inside a member.
 * A link that is in no list points at itself, so removing twice does no harm. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct list {
    struct list *next, *previous;
};

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *link)
{
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

static inline void list_prepend(struct list *list, struct list *link)
{
    list_append(list->next, link);
}

static inline void list_remove(struct list *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    list_init(link);
}

/* The first member, taken out; NULL when empty. */
static inline struct list *list_pop(struct list *list)
{
    struct list *first = list->next;
    if (first == list)
        return NULL;
    list_remove(first);
    return first;
}

#define LIST_OF(link, type, member) CONTAINER_OF(link, type, member)
/* The body may remove `link` itself, but no other member. */
#define LIST_EACH(each, head)                                                                      \
    for (struct list *each = (head)->next, *each##_next = each->next; each != (head);              \
         each = each##_next, each##_next = each->next)

#endif
