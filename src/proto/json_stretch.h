/* UTF-8 and escape sequences of JSON strings by vectors of WIDTH bytes: 16 or 32. Included by
 * json_text.c only, once for each width, with NAME(x) to tell the functions apart and TARGET, what
 * the processor must have; so there is no guard. Nothing reads outside [at, end). */

#if WIDTH == 16
#define VECTOR __m128i
#define I(operation) _mm_##operation
#define WIDEN(table) (table)
#define BEFORE(block, before, n) _mm_alignr_epi8(block, before, 16 - (n))
#else
#define VECTOR __m256i
#define I(operation) _mm256_##operation
#define WIDEN(table) _mm256_broadcastsi128_si256(table)
/* The instruction works on halves: the one before each must stand beside it. */
#define BEFORE(block, before, n)                                                                   \
    _mm256_alignr_epi8(block, _mm256_permute2x128_si256(before, block, 0x21), 16 - (n))
#endif
#define BLOCKS (STRETCH / WIDTH)
#define FUNCTION __attribute__((target(TARGET))) static

FUNCTION inline VECTOR NAME(load)(const uint8_t *at)
{
    VECTOR block;
    memcpy(&block, at, sizeof block);
    return block;
}

FUNCTION inline uint64_t NAME(bits)(VECTOR bytes)
{
    return (uint32_t)I(movemask_epi8)(bytes);
}

FUNCTION inline bool NAME(any_set)(VECTOR bytes)
{
    return NAME(bits)(I(cmpeq_epi8)(bytes, (VECTOR){0})) != (UINT64_C(1) << WIDTH) - 1;
}

FUNCTION inline VECTOR NAME(look_up)(__m128i table, VECTOR halves)
{
    return I(shuffle_epi8)(WIDEN(table), halves);
}

FUNCTION inline VECTOR NAME(upper_halves)(VECTOR block)
{
    return I(srli_epi16)(block, 4) & I(set1_epi8)(0x0f);
}

/* What is wrong with each byte, seen with the three before it. */
FUNCTION inline VECTOR NAME(mistakes)(VECTOR block, VECTOR before)
{
    VECTOR first = BEFORE(block, before, 1);
    VECTOR found = NAME(look_up)(first_upper(), NAME(upper_halves)(first)) &
                   NAME(look_up)(first_lower(), first & I(set1_epi8)(0x0f)) &
                   NAME(look_up)(second_upper(), NAME(upper_halves)(block));
    /* The third byte after E0 and up and the fourth after F0 and up must be the second of TWO_MORE.
     */
    VECTOR third = I(subs_epu8)(BEFORE(block, before, 2), I(set1_epi8)(0xe0 - 0x80));
    VECTOR fourth = I(subs_epu8)(BEFORE(block, before, 3), I(set1_epi8)(0xf0 - 0x80));
    return found ^ ((third | fourth) & I(set1_epi8)(M(0x80)));
}

/* Every byte that is not a continuation begins a character. */
FUNCTION inline uint64_t NAME(begins)(VECTOR block)
{
    return NAME(bits)(I(cmpgt_epi8)(block, I(set1_epi8)(M(0xbf))));
}

/* Control bytes and quotation marks. */
FUNCTION inline VECTOR NAME(endings)(VECTOR block)
{
    return I(cmpeq_epi8)(I(min_epu8)(block, I(set1_epi8)(0x1f)), block) |
           I(cmpeq_epi8)(block, I(set1_epi8)('"'));
}

FUNCTION const uint8_t *NAME(bulk)(const uint8_t *from, const uint8_t *end, uint64_t *characters)
{
    VECTOR before = {0}, wrong = {0};
    uint64_t counted = 0;
    const uint8_t *at = from;
    for (; end - at >= WIDTH; at += WIDTH) {
        VECTOR block = NAME(load)(at);
        uint64_t stops =
            NAME(bits)(NAME(endings)(block) | I(cmpeq_epi8)(block, I(set1_epi8)('\\')));
        uint64_t counts = NAME(begins)(block);
        unsigned keep = stops ? (unsigned)__builtin_ctzll(stops) : WIDTH;
        /* All from the byte on that stops becomes NUL: ASCII, and so shows a cut sequence. */
        if (stops)
            block &= NAME(load)(low_bytes + STRETCH - keep);
        wrong |= NAME(mistakes)(block, before);
        counted += (unsigned)__builtin_popcountll(counts & ((UINT64_C(1) << keep) - 1));
        if (stops && NAME(any_set)(wrong))
            return from;
        if (stops) {
            *characters += counted;
            return at + keep;
        }
        before = block;
    }
    if (at == from || NAME(any_set)(wrong))
        return from;
    at = sequence_start(at, &counted);
    *characters += counted;
    return at;
}

/* 0 in every byte that is no escape sequence together with a backslash: in all but quote, slash,
 * backslash, b, f, n, r and t. Bytes with the same upper half are a class; a lower half knows the
 * classes it is good in. */
FUNCTION inline VECTOR NAME(escape_letters)(VECTOR block)
{
    const __m128i class_of_upper = TABLE(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i good_in = TABLE(0, 0, 1 | 4 | 8, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
    return NAME(look_up)(class_of_upper, NAME(upper_halves)(block)) &
           NAME(look_up)(good_in, block & I(set1_epi8)(0x0f));
}

/* Where the text ends or takes a closer look, and in `*starts` the escape sequences before that. A
 * backslash that is the last byte counts among them and is not judged. */
FUNCTION inline uint64_t NAME(stops_of)(const VECTOR block[BLOCKS], uint64_t *starts)
{
    uint64_t backslashes = 0, endings = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        backslashes |= NAME(bits)(I(cmpeq_epi8)(block[i], I(set1_epi8)('\\'))) << i * WIDTH;
        endings |= NAME(bits)(NAME(endings)(block[i])) << i * WIDTH;
    }
    *starts = backslashes;
    if (!backslashes)
        return endings;
    uint64_t letters, no_letters = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        no_letters |= NAME(bits)(I(cmpeq_epi8)(NAME(escape_letters)(block[i]), (VECTOR){0}))
                      << i * WIDTH;
    *starts = escape_starts(backslashes);
    letters = *starts << 1;
    return (endings & ~letters) | (no_letters & letters) >> 1;
}

FUNCTION inline bool NAME(any_mistake)(const VECTOR block[BLOCKS], VECTOR before)
{
    VECTOR wrong = NAME(mistakes)(block[0], before); /* also what `before` left open */
    for (unsigned i = 1; i < BLOCKS; i++)
        wrong |= NAME(mistakes)(block[i], block[i - 1]);
    return NAME(any_set)(wrong);
}

FUNCTION const uint8_t *NAME(stretches)(const uint8_t *from, const uint8_t *end,
                                        uint64_t *characters)
{
    VECTOR block[BLOCKS], before = {0};
    const uint8_t *at = from;
    while (end - at >= STRETCH) {
        for (unsigned i = 0; i < BLOCKS; i++)
            block[i] = NAME(load)(at + i * WIDTH);
        uint64_t starts, stops = NAME(stops_of)(block, &starts), counted = ~starts;
        unsigned keep = STRETCH;
        if (stops) {
            /* All from the byte on that stops becomes NUL: ASCII, and so shows a cut sequence. */
            keep = (unsigned)__builtin_ctzll(stops);
            counted &= (UINT64_C(1) << keep) - 1;
            for (unsigned i = 0; i < BLOCKS; i++)
                block[i] &= NAME(load)(low_bytes + STRETCH - keep + i * WIDTH);
        }
        if (NAME(any_mistake)(block, before))
            break;
        uint64_t begins = 0;
        for (unsigned i = 0; i < BLOCKS; i++)
            begins |= NAME(begins)(block[i]) << i * WIDTH;
        *characters += (unsigned)__builtin_popcountll(begins & counted);
        at += keep;
        if (stops)
            return at;
        at -= starts >> (STRETCH - 1); /* its letter is in the next stretch, and so is it */
        before = NAME(load)(at - WIDTH);
    }
    return at == from ? from : sequence_start(at, characters);
}

#undef VECTOR
#undef I
#undef WIDEN
#undef BEFORE
#undef BLOCKS
#undef FUNCTION
