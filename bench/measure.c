#include "measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static int doubles_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), doubles_compare);
    return values[count / 2];
}

char *file_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    size_t used = 0, room = 1 << 20;
    char *text = malloc(room + 1);
    while (text && (used += fread(text + used, 1, room - used, file)) == room)
        text = realloc(text, (room *= 2) + 1);
    if (!text)
        fail("no memory for %s", path);
    text[used] = 0;
    fclose(file);
    if (len)
        *len = used;
    return text;
}

static void request_add(struct requests *requests, const char *key, const char *body)
{
    char authorization[256] = "";
    if (key)
        snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s\r\n", key);
    size_t count = requests->count + 1;
    requests->bytes = realloc(requests->bytes, count * sizeof(*requests->bytes));
    requests->lens = realloc(requests->lens, count * sizeof(*requests->lens));
    int len = !requests->bytes || !requests->lens
                  ? -1
                  : asprintf(&requests->bytes[requests->count],
                             "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
                             "Content-Type: application/json\r\nAccept: application/json\r\n"
                             "User-Agent: OpenAI/Python 1.0\r\nContent-Length: %zu\r\n\r\n%s",
                             authorization, strlen(body), body);
    if (len < 0)
        fail("no memory for requests");
    requests->lens[requests->count++] = (size_t)len;
}

void requests_make(struct requests *requests, const char *body_path, const char *keys_path)
{
    char *body = file_read(body_path, NULL), *rest = NULL;
    *requests = (struct requests){0};
    if (strcmp(keys_path, "-") == 0) {
        request_add(requests, NULL, body);
    } else {
        char *keys = file_read(keys_path, NULL);
        for (char *key = strtok_r(keys, "\n", &rest); key; key = strtok_r(NULL, "\n", &rest))
            request_add(requests, key, body);
        free(keys);
    }
    free(body);
    if (!requests->count)
        fail("no key in %s", keys_path);
}

void samples_init(struct samples *samples, size_t max)
{
    *samples = (struct samples){.ns = malloc(max * sizeof(*samples->ns)), .max = max};
    if (!samples->ns)
        fail("no memory for %zu samples", max);
}

void samples_clear(struct samples *samples)
{
    samples->count = 0;
    samples->worst_ns = 0;
}

void samples_add(struct samples *samples, uint64_t ns)
{
    if (ns > samples->worst_ns)
        samples->worst_ns = ns;
    if (samples->count < samples->max)
        samples->ns[samples->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void samples_sort(struct samples *samples)
{
    qsort(samples->ns, samples->count, sizeof(*samples->ns), compare);
}

double samples_us(const struct samples *samples, unsigned percent)
{
    return samples->count ? samples->ns[(samples->count - 1) * percent / 100] / 1000.0 : 0;
}
