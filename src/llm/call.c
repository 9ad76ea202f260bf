/* Reads the neutral call out of a body, in the scanner's one pass. Called by the exchange; the
 * model name found here decides who may do what, so anything but one plain string is a fault and
 * the first fault stays. Runs for every value of every body: depth is looked at first. */
#include "llm/call.h"

enum { MODEL_BYTES_MAX = 256 };

void call_init(struct call *call, enum call_kind kind, const struct dialect *dialect,
               struct arena *arena)
{
    (void)arena;
    bool may_stream = kind == CALL_CHAT || kind == CALL_COMPLETION;
    *call = (struct call){.kind = kind, .stream = may_stream && dialect->stream_default};
}

static void fault(struct call *call, enum call_fault fault, const char *param)
{
    if (call->fault)
        return;
    call->fault = fault;
    call->param = param;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

static void read_model(const struct call_reader *reader, const struct json_value *value)
{
    struct call *call = reader->call;
    const char *param = reader->dialect->model_member;
    if (value->event != JSON_SAW_STRING || !value->kept || value->text.len > MODEL_BYTES_MAX ||
        has_control(value->text)) {
        fault(call, CALL_MODEL_TYPE, param);
    } else if (value->text.len == 0) {
        fault(call, CALL_MODEL_MISSING, param);
    } else {
        call->model = arena_copy(reader->arena, value->text);
        call->has_model = call->model.ptr != NULL;
        if (!call->has_model)
            fault(call, CALL_NO_MEMORY, NULL);
    }
}

/* null is what clients send for "not said". */
static void read_stream(struct call *call, const struct json_value *value)
{
    if (value->event == JSON_SAW_TRUE || value->event == JSON_SAW_FALSE) {
        call->stream = value->event == JSON_SAW_TRUE;
        call->has_stream = true;
    } else if (value->event != JSON_SAW_NULL) {
        fault(call, CALL_STREAM_TYPE, "stream");
    }
}

/* Go's decoder, which Ollama and others use, takes "MODEL" for "model", and even U+017F (long s)
 * for "s" and the Kelvin sign for "k"; it then believes the last of them. A name that only such a
 * reader takes for one of ours would be a second, unchecked model. */
static bool same_to_go(struct slice name, const char *member)
{
    size_t i = 0;
    for (; *member; member++) {
        if (*member == 's' && slice_starts(slice_from(name, i), SLICE("\xc5\xbf")))
            i += 2;
        else if (*member == 'k' && slice_starts(slice_from(name, i), SLICE("\xe2\x84\xaa")))
            i += 3;
        else if (i < name.len && (name.ptr[i] == *member || name.ptr[i] == *member - 0x20))
            i++;
        else
            return false;
    }
    return i == name.len;
}

static void read_member(const struct call_reader *reader, const struct json_value *value)
{
    const char *model = reader->dialect->model_member;
    struct slice name = value->path[0];
    if (slice_equal(name, slice_of(model)))
        read_model(reader, value);
    else if (slice_equal(name, SLICE("stream")))
        read_stream(reader->call, value);
    else if (same_to_go(name, model))
        fault(reader->call, CALL_MODEL_NAME, model);
    else if (same_to_go(name, "stream"))
        fault(reader->call, CALL_STREAM_NAME, "stream");
}

void call_listen(void *context, const struct json_value *value)
{
    const struct call_reader *reader = context;
    if (value->depth > 2)
        return;
    if (value->depth == 2) {
        reader->call->messages +=
            value->event != JSON_SAW_OBJECT_END && value->event != JSON_SAW_ARRAY_END &&
            slice_equal(value->path[0], SLICE("messages")) && value->path[1].len == 0;
    } else if (value->depth == 1) {
        read_member(reader, value);
    } else if (value->event != JSON_SAW_OBJECT_BEGIN && value->event != JSON_SAW_OBJECT_END) {
        fault(reader->call, CALL_NOT_OBJECT, NULL);
    }
}

void call_finish(struct call *call)
{
    if (call->kind == CALL_NONE)
        call->fault = CALL_FINE;
    else if (!call->has_model && call->kind != CALL_LOCAL)
        fault(call, CALL_MODEL_MISSING, "model");
    if (call->fault)
        call->has_model = false;
    else
        call->param = NULL;
}
