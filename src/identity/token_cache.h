/* Tokens whose signature was found good, so that it is verified once and not for every request.
 * Each event loop has a cache of its own: one thread, no locks.
 *
 * What is remembered is that a text is ours and what it says, never that its holder may do
 * something: whether its session stands, and what the account may do, is looked up for each request
 * (account.h). So a token whose session has ended may stay here until it expires. */
#ifndef IDENTITY_TOKEN_CACHE_H
#define IDENTITY_TOKEN_CACHE_H

#include "base/list.h"
#include "base/map.h"
#include "identity/digest.h"
#include "identity/token.h"

enum { TOKEN_CACHE_MAX = 4096 }; /* entries a loop should have: 1.6 MB when all are in use */

struct token_entry;

struct token_cache {
    struct map by_digest;
    struct list used;   /* the one longest unused first */
    struct list unused; /* entries that were given back */
    struct token_entry *entries;
    unsigned max, begun; /* entries in all; those that were ever in use, from the start on */
};

/* `max` entries, at least 1; the system gives memory to those that are used. ERR_MEMORY. The cache
 * stays at its place until finish. */
enum err token_cache_init(struct token_cache *cache, unsigned max) MUST_CHECK;
void token_cache_finish(struct token_cache *cache);

/* By the SHA-256 of the token's whole text. NULL when it is not there or its time is over or has
 * not come (token_time_fault); such a one is dropped. The claims are the cache's and stay until its
 * next change: copy what must last. One hash probe. Their kind is the one the token was read for.
 */
const struct token_claims *token_cache_find(struct token_cache *cache,
                                            const uint8_t digest[SHA256_BYTES],
                                            uint64_t now_epoch_s);
/* Copies what token_parse gave. When the cache is full the entry longest unused goes; when there is
 * no memory, nothing is kept: the next request is verified anew. */
void token_cache_add(struct token_cache *cache, const uint8_t digest[SHA256_BYTES],
                     const struct token_claims *claims);
/* For a change of the secrets: what they signed is to be verified again. */
void token_cache_clear(struct token_cache *cache);

#endif
