/* The demo model's connection: requests in, answers out, both as HTTP/1.1 bytes. Called by the
 * gateway, which moves the bytes over a socket pair and keeps the pauses. The hard problem: bodies
 * of any length arrive in any pieces and are never kept; what is needed of them is read as they
 * pass. */
#include "llm/demo.h"

#include <stdlib.h>

#include "llm/demo_answer.h"
#include "proto/chunked.h"

enum {
    HEAD_MAX = 64 * 1024,
    LINE_MAX_BYTES = 16 * 1024,
    TEXT_MAX = 4 * 1024,
    PIECE_MAX = 2 * 1024 * 1024,
    WAITING_MAX = 1024 * 1024, /* pipelined behind an answer that is still being given */
    SCANNER_MAX = 8 * 1024 * 1024
};

enum phase { READING_HEAD, READING_BODY, READY, STREAMING, CLOSED };

struct route {
    enum http_method method;
    const char *path; /* exact; or a prefix that ends in '*' */
    bool stream;      /* unless the body says otherwise */
    const char *type;
    demo_print_fn *print;               /* either this */
    const struct demo_speaker *speaker; /* or this */
};

struct demo {
    enum phase phase;
    struct buffer head, waiting, piece, whole;
    const struct route *route; /* NULL: no such path */
    bool head_only, keep_alive, may_chunk, is_chunked, owes_continue;
    uint64_t body_left;
    struct chunked chunked;
    struct arena arena;
    struct json *json;   /* NULL when the body is of no interest */
    const char *refusal; /* a sentence for a 400; NULL: none */
    struct demo_request request;
    struct demo_answer answer;
};

#define JSON_TYPE "application/json"

// clang-format off
static const struct route routes[] = {
    { METHOD_GET,  "/",                         false, "text/plain; charset=utf-8", demo_print_greeting, NULL },
    { METHOD_GET,  "/v1/models",                false, JSON_TYPE, demo_print_models,      NULL },
    { METHOD_GET,  "/v1/models/*",              false, JSON_TYPE, demo_print_model,       NULL },
    { METHOD_POST, "/v1/chat/completions",      false, JSON_TYPE, NULL,                   &demo_openai_chat },
    { METHOD_POST, "/v1/completions",           false, JSON_TYPE, NULL,                   &demo_openai_completion },
    { METHOD_POST, "/v1/embeddings",            false, JSON_TYPE, demo_print_embeddings,  NULL },
    { METHOD_GET,  "/api/tags",                 false, JSON_TYPE, demo_print_tags,        NULL },
    { METHOD_GET,  "/api/version",              false, JSON_TYPE, demo_print_version,     NULL },
    { METHOD_GET,  "/api/ps",                   false, JSON_TYPE, demo_print_running,     NULL },
    { METHOD_POST, "/api/show",                 false, JSON_TYPE, demo_print_show,        NULL },
    { METHOD_POST, "/api/chat",                 true,  JSON_TYPE, NULL,                   &demo_ollama_chat },
    { METHOD_POST, "/api/generate",             true,  JSON_TYPE, NULL,                   &demo_ollama_generate },
    { METHOD_POST, "/api/embed",                false, JSON_TYPE, demo_print_embed,       NULL },
    { METHOD_POST, "/api/embeddings",           false, JSON_TYPE, demo_print_embedding,   NULL },
    { METHOD_POST, "/v1/messages",              false, JSON_TYPE, NULL,                   &demo_anthropic },
    { METHOD_POST, "/v1/messages/count_tokens", false, JSON_TYPE, demo_print_token_count, NULL },
};
// clang-format on

static const struct route *route_find(enum http_method method, struct slice path)
{
    if (method == METHOD_HEAD)
        method = METHOD_GET;
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        struct slice pattern = slice_of(routes[i].path);
        bool prefix = slice_ends(pattern, SLICE("*"));
        if (routes[i].method == method &&
            (prefix
                 ? path.len >= pattern.len && slice_starts(path, slice_to(pattern, pattern.len - 1))
                 : slice_equal(path, pattern)))
            return &routes[i];
    }
    return NULL;
}

struct demo *demo_create(void)
{
    struct demo *demo = calloc(1, sizeof *demo);
    if (!demo)
        return NULL;
    buffer_init(&demo->head, HEAD_MAX);
    buffer_init(&demo->waiting, WAITING_MAX);
    buffer_init(&demo->piece, PIECE_MAX);
    buffer_init(&demo->whole, PIECE_MAX);
    buffer_init(&demo->answer.text, TEXT_MAX);
    arena_init(&demo->arena, NULL, 0, SCANNER_MAX);
    return demo;
}

void demo_destroy(struct demo *demo)
{
    if (!demo)
        return;
    buffer_finish(&demo->head);
    buffer_finish(&demo->waiting);
    buffer_finish(&demo->piece);
    buffer_finish(&demo->whole);
    buffer_finish(&demo->answer.text);
    arena_finish(&demo->arena);
    free(demo);
}

/* Reading. */

static enum err refuse(struct demo *demo, const char *sentence)
{
    demo->refusal = sentence;
    demo->keep_alive = false;
    demo->phase = READY;
    return ERR_SYNTAX;
}

static enum err begin_body(struct demo *demo, const struct request_head *head)
{
    demo->route = route_find(head->method, head->path);
    demo->answer.path = head->path;
    demo->head_only = head->method == METHOD_HEAD;
    demo->keep_alive = head->keep_alive;
    demo->may_chunk = head->minor_version > 0;
    demo->is_chunked = head->chunked;
    demo->body_left = head->content_length == HTTP_NO_LENGTH ? 0 : head->content_length;
    demo->owes_continue = head->expect_continue && (head->chunked || demo->body_left);
    demo->refusal = NULL;
    demo->json = NULL;
    chunked_init(&demo->chunked);
    arena_reset(&demo->arena);
    demo_request_init(&demo->request, demo->route && demo->route->stream);
    if (demo->route && demo->route->method == METHOD_POST) {
        demo->json = json_create(&demo->arena, demo_request_listen, &demo->request);
        if (!demo->json)
            return ERR_MEMORY;
    }
    demo->phase = demo->is_chunked || demo->body_left ? READING_BODY : READY;
    return OK;
}

/* Takes bytes from the front of `*bytes` until a head is complete; gives back what is behind it. */
static enum err read_head(struct demo *demo, struct slice *bytes)
{
    static const struct http_limits limits = {LINE_MAX_BYTES, HEAD_MAX};
    size_t before = demo->head.len, room = HEAD_MAX - before;
    size_t n = bytes->len < room ? bytes->len : room, used;
    struct request_head head;
    enum http_fault fault;
    buffer_append(&demo->head, slice_to(*bytes, n));
    if (demo->head.failed)
        return demo->head.failed;
    enum err err = request_head_parse(buffer_slice(&demo->head), &limits, &head, &used, &fault);
    if (err == ERR_AGAIN && n == room)
        err = ERR_SYNTAX;
    if (err == ERR_AGAIN) {
        *bytes = slice_from(*bytes, n);
        return OK;
    }
    if (err != OK)
        return refuse(demo, "The request is malformed.");
    *bytes = slice_from(*bytes, used - before);
    demo->head.len = used;
    return begin_body(demo, &head);
}

static void scan(struct demo *demo, struct slice content)
{
    if (demo->json && !demo->refusal && json_feed(demo->json, content) != OK)
        demo->refusal = json_fault_sentence(json_fault(demo->json));
}

static void end_body(struct demo *demo)
{
    demo->phase = READY;
    demo->owes_continue = false;
}

static enum err read_body(struct demo *demo, struct slice *bytes)
{
    if (!demo->is_chunked) {
        size_t n = bytes->len < demo->body_left ? bytes->len : (size_t)demo->body_left;
        scan(demo, slice_to(*bytes, n));
        *bytes = slice_from(*bytes, n);
        demo->body_left -= n;
        if (demo->body_left == 0)
            end_body(demo);
        return OK;
    }
    struct slice content;
    enum err err = chunked_next(&demo->chunked, bytes, &content);
    if (err == OK)
        scan(demo, content);
    else if (err == ERR_CLOSED)
        end_body(demo);
    else if (err != ERR_AGAIN)
        return refuse(demo, "The request's body is malformed.");
    return OK;
}

static enum err wait_with(struct demo *demo, struct slice *bytes)
{
    buffer_append(&demo->waiting, *bytes);
    *bytes = slice_from(*bytes, bytes->len);
    return demo->waiting.failed;
}

enum err demo_receive(struct demo *demo, struct slice bytes)
{
    while (bytes.len) {
        switch (demo->phase) {
        case READING_HEAD:
            TRY(read_head(demo, &bytes));
            break;
        case READING_BODY:
            TRY(read_body(demo, &bytes));
            break;
        case READY:
        case STREAMING:
            TRY(wait_with(demo, &bytes));
            break;
        case CLOSED:
            return OK; /* whatever comes now goes unanswered */
        }
    }
    return OK;
}

/* Answering. */

static void print_head(const struct demo *demo, struct buffer *out, const char *status,
                       const char *type)
{
    buffer_printf(out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nServer: sallyport-demo\r\n", status,
                  type);
    if (!demo->keep_alive)
        buffer_text(out, "Connection: close\r\n");
    else if (!demo->may_chunk)
        buffer_text(out, "Connection: keep-alive\r\n");
}

static void print_whole(const struct demo *demo, struct buffer *out, const char *status,
                        const char *type, struct slice body)
{
    print_head(demo, out, status, type);
    buffer_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
    if (!demo->head_only)
        buffer_append(out, body);
}

/* One piece of a stream, as a chunk where the client knows chunks. */
static void print_piece(const struct demo *demo, struct buffer *out, struct slice piece)
{
    if (piece.len == 0)
        return;
    if (demo->may_chunk)
        buffer_printf(out, "%zx\r\n", piece.len);
    buffer_append(out, piece);
    if (demo->may_chunk)
        buffer_text(out, "\r\n");
}

static void print_refusal(struct demo *demo, struct buffer *out)
{
    bool unknown = !demo->refusal;
    buffer_text(&demo->piece, "{\"error\":{\"message\":");
    buffer_json_string(&demo->piece,
                       slice_of(unknown ? "The demo model has no such endpoint." : demo->refusal));
    buffer_printf(&demo->piece, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
                  unknown ? "not_found_error" : "invalid_request_error",
                  unknown ? "NOT_FOUND" : "VALIDATION_ERROR");
    print_whole(demo, out, unknown ? "404 Not Found" : "400 Bad Request", JSON_TYPE,
                buffer_slice(&demo->piece));
}

/* The words of an answer in one go. */
static struct slice all_words(struct demo *demo)
{
    struct slice word;
    buffer_clear(&demo->whole);
    while ((word = demo_answer_word(&demo->answer)).len)
        buffer_append(&demo->whole, word);
    return buffer_slice(&demo->whole);
}

/* A request was answered: what waited behind it is read now. */
static enum err answer_done(struct demo *demo)
{
    buffer_clear(&demo->head);
    demo->phase = demo->keep_alive ? READING_HEAD : CLOSED;
    if (!demo->keep_alive || demo->waiting.len == 0)
        return OK;
    struct buffer waiting = demo->waiting;
    buffer_init(&demo->waiting, WAITING_MAX);
    enum err err = demo_receive(demo, buffer_slice(&waiting));
    buffer_finish(&waiting);
    return err == ERR_SYNTAX ? OK : err; /* its refusal is the next answer */
}

static void begin_stream(struct demo *demo, struct buffer *out)
{
    const struct demo_speaker *speaker = demo->route->speaker;
    if (!demo->may_chunk)
        demo->keep_alive = false; /* HTTP/1.0: the end of the connection ends the stream */
    print_head(demo, out, "200 OK", speaker->stream_type);
    buffer_text(out, "Cache-Control: no-cache\r\n");
    buffer_text(out, demo->may_chunk ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    speaker->begin(&demo->answer, &demo->piece);
    print_piece(demo, out, buffer_slice(&demo->piece));
    demo->phase = STREAMING;
}

static enum err begin_answer(struct demo *demo, struct buffer *out, uint64_t *pause_us)
{
    const struct route *route = demo->route;
    if (demo->json && !demo->refusal && json_end(demo->json) != OK)
        demo->refusal = json_fault_sentence(json_fault(demo->json));
    if (demo->request.too_many_inputs && !demo->refusal)
        demo->refusal = "There are more than 2048 inputs.";
    if (demo->refusal || !route) {
        print_refusal(demo, out);
        return answer_done(demo);
    }
    demo_answer_begin(&demo->answer, &demo->request);
    if (route->speaker && demo->request.stream) {
        begin_stream(demo, out);
        return OK;
    }
    if (route->speaker) {
        *pause_us = demo->answer.pause_us;
        route->speaker->whole(&demo->answer, &demo->piece, all_words(demo));
    } else {
        route->print(&demo->answer, &demo->piece);
    }
    print_whole(demo, out, "200 OK", route->type, buffer_slice(&demo->piece));
    return answer_done(demo);
}

static enum err next_word(struct demo *demo, struct buffer *out, uint64_t *pause_us)
{
    const struct demo_speaker *speaker = demo->route->speaker;
    struct slice word = demo_answer_word(&demo->answer);
    if (word.len) {
        speaker->word(&demo->answer, &demo->piece, word);
        print_piece(demo, out, buffer_slice(&demo->piece));
        *pause_us = demo->answer.pause_us;
        return OK;
    }
    speaker->end(&demo->answer, &demo->piece);
    print_piece(demo, out, buffer_slice(&demo->piece));
    if (demo->may_chunk)
        buffer_text(out, "0\r\n\r\n");
    return answer_done(demo);
}

enum err demo_next(struct demo *demo, struct buffer *out, uint64_t *pause_us)
{
    enum err err = ERR_AGAIN;
    *pause_us = 0;
    buffer_clear(&demo->piece);
    if (demo->phase == CLOSED)
        return ERR_CLOSED;
    if (demo->phase == READING_BODY && demo->owes_continue) {
        demo->owes_continue = false;
        buffer_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
        return out->failed;
    }
    if (demo->phase == READY)
        err = begin_answer(demo, out, pause_us);
    else if (demo->phase == STREAMING)
        err = next_word(demo, out, pause_us);
    if (err == OK)
        err = demo->piece.failed ? demo->piece.failed : out->failed;
    return err;
}
