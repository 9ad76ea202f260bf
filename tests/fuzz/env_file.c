/* The .env reader: every line is a variable, nothing, or a fault with its number; what was read,
 * written down again in quotes, is read again to the same. */
#include "config/environment.h"

#include "folder.h"
#include "fuzz.h"

enum { TEXT_BYTES_MAX = 4 * 1024 * 1024 };

struct reading {
    struct variables variables;
    struct faults faults;
};

static void reading_finish(struct reading *reading)
{
    variables_finish(&reading->variables);
    faults_finish(&reading->faults);
}

static void read_file(struct reading *reading, struct slice input)
{
    const char *path = folder_write(".env", input);
    unsigned lines = 1, last = 0;
    *reading = (struct reading){.variables.kind = VARIABLES_DOTENV};
    must(variables_read_dotenv(&reading->variables, path, &reading->faults) == OK);
    must(reading->variables.count <= VARIABLES_MAX);
    for (size_t i = 0; i < input.len; i++)
        lines += input.ptr[i] == '\n';
    for (unsigned i = 0; i < reading->variables.count; i++) {
        const struct variable *variable = &reading->variables.list[i];
        must(variable->line > last && variable->line <= lines);
        must(variable->name.len > 0 && slice_find(variable->name, '=') == variable->name.len);
        must(slice_equal(slice_of(variable->name.ptr), variable->name));
        must_equal(slice_of(variable->file), slice_of(path));
        last = variable->line;
    }
    for (unsigned i = 0; i < reading->faults.count; i++)
        must(reading->faults.list[i].line <= lines && reading->faults.list[i].sentence);
}

static void print_variables(struct buffer *out, const struct variables *variables)
{
    for (unsigned i = 0; i < variables->count; i++) {
        const struct variable *variable = &variables->list[i];
        buffer_append(out, variable->name);
        buffer_text(out, "=\"");
        for (size_t n = 0; n < variable->value.len; n++) {
            char byte = variable->value.ptr[n];
            if (byte == '"' || byte == '\\' || byte == '\n')
                buffer_byte(out, '\\');
            buffer_byte(out, byte == '\n' ? 'n' : byte);
        }
        buffer_text(out, "\"\n");
    }
}

/* The last line of a name counts. */
static void check_find(const struct variables *variables)
{
    for (unsigned i = 0; i < variables->count; i++) {
        struct variable found;
        const struct variable *last = &variables->list[i];
        for (unsigned n = i + 1; n < variables->count; n++)
            if (slice_equal(variables->list[n].name, last->name))
                last = &variables->list[n];
        bool set = variables_find(variables, last->name.ptr, &found);
        must(set == (last->value.len > 0));
        if (set)
            must_equal(found.value, last->value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    AUTO(buffer) before = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(buffer) after = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(reading) first;
    AUTO(reading) second;
    read_file(&first, input);
    check_find(&first.variables);
    print_variables(&before, &first.variables);
    if (before.len > DOTENV_BYTES_MAX)
        return 0;
    read_file(&second, buffer_slice(&before));
    must(second.faults.count == 0);
    print_variables(&after, &second.variables);
    must_equal(buffer_slice(&before), buffer_slice(&after));
    return 0;
}
