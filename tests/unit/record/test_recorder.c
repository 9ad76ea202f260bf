/* The whole room: exchanges in, lines on disk and numbers in /metrics out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "record/record.h"

static char directory[64], app_path[128], access_paths[2][128];
static struct access_log_settings access_logs[2];
static struct settings settings;

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_recorder_XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(app_path, sizeof app_path, "%s/logs/app.log", directory);
    for (int i = 0; i < 2; i++) {
        snprintf(access_paths[i], sizeof access_paths[i], "%s/logs/access%d.log", directory, i);
        access_logs[i].path = access_paths[i];
    }
    settings.log.app = app_path;
    settings.log.access = access_logs;
    settings.log.access_count = 2;
    settings.log.app_requests = true;
    settings.log.level = LOG_INFO;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct exchange_record sample(unsigned status)
{
    return (struct exchange_record){
        .wall_us = UINT64_C(1762165800000000),
        .duration_us = 12345,
        .overhead_us = 15,
        .client = {.family = ADDRESS_V4, .bytes = {127, 0, 0, 1}},
        .request_line = SLICE("GET /v1/models HTTP/1.1"),
        .method = SLICE("GET"),
        .path = SLICE("/v1/models"),
        .handler = "models",
        .status = status,
        .tokens_in = UINT64_MAX,
        .tokens_out = UINT64_MAX,
        .decision = status == 429 ? "ip_rate" : "pass",
    };
}

/* Lines of valid JSON in a file; those whose member `name` is `value` when a name is given. */
static unsigned count_lines(const char *path, const char *name, const char *value)
{
    char line[4096];
    unsigned count = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(object);
        const char *found = name ? json_string_value(json_object_get(object, name)) : NULL;
        count += !name || (found && strcmp(found, value) == 0);
        json_decref(object);
    }
    if (file)
        fclose(file);
    return count;
}

/* Waits for the event, not for a time; the bound is only there so that a failure ends. */
static bool eventually(unsigned wanted, const char *path)
{
    uint64_t until_us = clock_now_us() + 10 * SECOND_US;
    while (count_lines(path, NULL, NULL) < wanted) {
        if (clock_now_us() > until_us)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return true;
}

static void every_exchange_is_in_every_log_once(void **state)
{
    (void)state;
    struct recorder *recorder;
    assert_int_equal(recorder_create(&settings, 2, &recorder), OK);
    for (unsigned i = 0; i < 100; i++) {
        struct exchange_record record = sample(i % 10 ? 200 : 429);
        record_exchange(recorder_ring(recorder, i % 2), &record);
    }
    log_warning("something \"odd\"\n");
    assert_true(eventually(100, access_paths[0])); /* without being told to: in time by itself */
    recorder_destroy(recorder);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count_lines(access_paths[i], NULL, NULL), 100);
        assert_int_equal(count_lines(access_paths[i], "status", "429"), 10);
        assert_int_equal(count_lines(access_paths[i], "decision", "ip_rate"), 10);
    }
    assert_int_equal(count_lines(app_path, NULL, NULL), 101);
    assert_int_equal(count_lines(app_path, "message", "GET /v1/models -> 429"), 10);
    assert_int_equal(count_lines(app_path, "message", "something \"odd\"\n"), 1);
}

static void level_and_option_decide_about_request_lines_in_the_app_log(void **state)
{
    (void)state;
    static const struct {
        bool app_requests;
        enum log_level level;
        unsigned lines;
    } rows[] = {
        {true,  LOG_DEBUG,   3},
        {true,  LOG_WARNING, 2},
        {true,  LOG_ERROR,   1},
        {false, LOG_DEBUG,   0}
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct recorder *recorder;
        unlink(app_path);
        settings.log.app_requests = rows[i].app_requests;
        settings.log.level = rows[i].level;
        assert_int_equal(recorder_create(&settings, 1, &recorder), OK);
        for (unsigned status = 200; status <= 600; status += 200) {
            struct exchange_record record = sample(status == 600 ? 503 : status);
            record_exchange(recorder_ring(recorder, 0), &record);
        }
        recorder_destroy(recorder);
        assert_int_equal(count_lines(app_path, NULL, NULL), rows[i].lines);
    }
}

static void full_ring_drops_and_counts_and_metrics_still_count(void **state)
{
    (void)state;
    enum { MANY = 1500 };
    struct recorder *recorder;
    assert_int_equal(recorder_create(&settings, 1, &recorder), OK);
    static char path[2048];
    memset(path, 'x', sizeof path);
    for (unsigned i = 0; i < MANY; i++) {
        struct exchange_record record = sample(200);
        record.request_line = slice_make(path, sizeof path);
        record_exchange(recorder_ring(recorder, 0), &record);
    }
    AUTO(buffer) json = BUFFER_MAX(4096);
    struct metrics_gauges gauges = {0};
    metrics_print_json(recorder, &gauges, &json);
    assert_non_null(strstr(buffer_text_of(&json), "{\"requests_total\":1500,"));
    /* Stopping writes all that is queued, so what is missing on disk is what was dropped. */
    uint64_t dropped = recorder_dropped_lines(recorder);
    recorder_destroy(recorder);
    assert_int_equal(count_lines(access_paths[0], NULL, NULL) + count_lines(app_path, NULL, NULL) +
                         dropped,
                     2 * MANY);
}

static void reopen_splits_the_log_at_the_call(void **state)
{
    (void)state;
    char rotated[160];
    struct recorder *recorder;
    struct exchange_record record = sample(200);
    snprintf(rotated, sizeof rotated, "%s.1", access_paths[0]);
    assert_int_equal(recorder_create(&settings, 1, &recorder), OK);
    for (unsigned i = 0; i < 10; i++)
        record_exchange(recorder_ring(recorder, 0), &record);
    assert_int_equal(rename(access_paths[0], rotated), 0);
    recorder_reopen(recorder);
    assert_true(eventually(10, rotated));
    while (access(access_paths[0], F_OK) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    record_exchange(recorder_ring(recorder, 0), &record);
    recorder_destroy(recorder);
    assert_int_equal(count_lines(rotated, NULL, NULL), 10);
    assert_int_equal(count_lines(access_paths[0], NULL, NULL), 1);
}

static void full_disk_never_stops_an_exchange(void **state)
{
    (void)state;
    struct recorder *recorder;
    access_logs[0].path = "/dev/full";
    assert_int_equal(recorder_create(&settings, 1, &recorder), OK);
    struct exchange_record record = sample(200);
    for (unsigned i = 0; i < 20; i++)
        record_exchange(recorder_ring(recorder, 0), &record);
    assert_true(eventually(20, access_paths[1])); /* the other log does not suffer */
    while (recorder_dropped_lines(recorder) < 20)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    recorder_destroy(recorder);
    assert_int_equal(count_lines(app_path, "level", "WARNING"), 1); /* one, not twenty */
}

static void metrics_add_up_all_rings(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "# TYPE http_requests_total counter\n",
        "http_requests_total{method=\"GET\",status=\"200\",handler=\"models\"} 4\n",
        "http_requests_total{method=\"GET\",status=\"429\",handler=\"models\"} 1\n",
        "http_requests_total{method=\"other\",status=\"499\",handler=\"chat\"} 1\n",
        "http_request_duration_seconds_bucket{handler=\"models\",le=\"0.01\"} 0\n",
        "http_request_duration_seconds_bucket{handler=\"models\",le=\"0.025\"} 5\n",
        "http_request_duration_seconds_bucket{handler=\"models\",le=\"+Inf\"} 5\n",
        "http_request_duration_seconds_sum{handler=\"models\"} 0.061725\n",
        "http_request_duration_seconds_count{handler=\"models\"} 5\n",
        "sallyport_request_overhead_seconds_bucket{le=\"0.00001\"} 0\n",
        "sallyport_request_overhead_seconds_bucket{le=\"0.00002\"} 6\n",
        "sallyport_request_overhead_seconds_count 6\n",
        "sallyport_refusals_total{reason=\"ip_rate\"} 1\n",
        "sallyport_refusals_total{reason=\"bad_json\"} 0\n",
        "sallyport_connections 3\n",
        "sallyport_exchanges 2\n",
        "sallyport_body_memory_bytes 65536\n",
        "sallyport_api_keys 5\n",
        "sallyport_log_lines_dropped_total 0\n",
        "sallyport_audit_dropped_total 7\n",
        "sallyport_audit_failing 1\n",
        "process_start_time_seconds 1762165800\n",
        "sallyport_build_info{version=\"0.1.0\"} 1\n",
    };
    struct recorder *recorder;
    assert_int_equal(recorder_create(&settings, 3, &recorder), OK);
    char same_name[] = "models"; /* the same label from another file */
    for (unsigned i = 0; i < 5; i++) {
        struct exchange_record record = sample(i == 4 ? 429 : 200);
        record.handler = i % 2 ? same_name : "models";
        record_exchange(recorder_ring(recorder, i % 3), &record);
    }
    struct exchange_record odd = sample(0);
    odd.method = SLICE("BREW");
    odd.handler = "chat";
    record_exchange(recorder_ring(recorder, 2), &odd);
    struct metrics_gauges gauges = {3, 2, 65536, 5, 7, true, 1762165800, "0.1.0"};
    AUTO(buffer) out = BUFFER_MAX(1 << 20);
    metrics_print_prometheus(recorder, &gauges, &out);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const char *found = strstr(buffer_text_of(&out), wanted[i]);
        if (!found)
            print_message("missing: %s", wanted[i]);
        assert_non_null(found);
        assert_null(strstr(found + 1, wanted[i])); /* once */
    }
    AUTO(buffer) json = BUFFER_MAX(4096);
    metrics_print_json(recorder, &gauges, &json);
    assert_string_equal(buffer_text_of(&json),
                        "{\"requests_total\":6,\"requests_2xx\":4,\"requests_3xx\":0,"
                        "\"requests_4xx\":2,\"requests_5xx\":0,\"latency_p50_ms\":12.35,"
                        "\"latency_p95_ms\":12.35,\"abuse_stats\":{\"denied_count\":0,"
                        "\"tracked_entities\":0,\"threshold_errors\":0,\"window_seconds\":0}}");
    recorder_destroy(recorder);
}

/* Each line of the text format is a comment or `name{labels} number`, and no series appears twice.
 */
static void prometheus_text_is_well_formed_and_bounded(void **state)
{
    (void)state;
    struct recorder *recorder;
    settings.log.access_count = 0;
    settings.log.app_requests = false;
    assert_int_equal(recorder_create(&settings, 2, &recorder), OK);
    static char names[100][16];
    for (unsigned i = 0; i < 20000; i++) {
        struct exchange_record record = sample(200 + i / 100 % 300);
        snprintf(names[i % 100], sizeof names[0], "handler_%u", i % 100);
        record.handler = names[i % 100];
        record_exchange(recorder_ring(recorder, i % 2), &record);
    }
    struct metrics_gauges gauges = {0};
    AUTO(buffer) out = BUFFER_MAX(1 << 20);
    metrics_print_prometheus(recorder, &gauges, &out);
    assert_int_equal(out.failed, OK);
    uint64_t requests = 0, series = 0;
    struct slice rest = buffer_slice(&out);
    while (rest.len) {
        struct slice line = slice_cut(&rest, '\n');
        if (slice_starts(line, SLICE("# HELP ")) || slice_starts(line, SLICE("# TYPE ")))
            continue;
        size_t space = slice_find(line, ' ');
        assert_true(space > 0 && space < line.len - 1);
        if (slice_starts(line, SLICE("http_requests_total{"))) {
            uint64_t number;
            assert_true(slice_number(slice_from(line, space + 1), UINT64_MAX, &number));
            requests += number;
            series++;
            char name[256];
            snprintf(name, sizeof name, "\n%.*s ", (int)space, line.ptr);
            assert_null(rest.len ? strstr(rest.ptr - 1, name) : NULL);
        }
    }
    assert_int_equal(requests, 20000);
    assert_true(series > 300 && series <= 2 * 512 + 1);
    recorder_destroy(recorder);
}

static void empty_recorder_prints_numbers_too(void **state)
{
    (void)state;
    struct recorder *recorder;
    assert_int_equal(recorder_create(&settings, 1, &recorder), OK);
    AUTO(buffer) json = BUFFER_MAX(4096);
    struct metrics_gauges gauges = {0};
    metrics_print_json(recorder, &gauges, &json);
    json_t *object = json_loadb(json.bytes, json.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(object, "requests_total")), 0);
    assert_true(json_is_real(json_object_get(object, "latency_p95_ms")));
    json_decref(object);
    recorder_destroy(recorder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_exchange_is_in_every_log_once),
        TEST(level_and_option_decide_about_request_lines_in_the_app_log),
        TEST(full_ring_drops_and_counts_and_metrics_still_count),
        TEST(reopen_splits_the_log_at_the_call),
        TEST(full_disk_never_stops_an_exchange),
        TEST(metrics_add_up_all_rings),
        TEST(prometheus_text_is_well_formed_and_bounded),
        TEST(empty_recorder_prints_numbers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
