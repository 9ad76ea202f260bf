/* What the scanner's faults are called in logs and how they are explained to a caller. */
#include "proto/json.h"

// clang-format off
static const struct {
    const char *name, *sentence;
} faults[JSON_FAULT_COUNT] = {
    [JSON_FINE]             = { "fine",             "the JSON is well formed" },
    [JSON_SYNTAX]           = { "syntax",           "the JSON is malformed" },
    [JSON_UTF8]             = { "utf8",             "a string is not valid UTF-8" },
    [JSON_SURROGATE]        = { "surrogate",        "a string escapes half of a surrogate pair" },
    [JSON_DUPLICATE_KEY]    = { "duplicate_key",    "an object has the same key twice" },
    [JSON_TOO_DEEP]         = { "too_deep",         "arrays and objects are nested more than 64 deep" },
    [JSON_TOO_MANY_MEMBERS] = { "too_many_members", "there are more than 100000 object members" },
    [JSON_NUMBER_TOO_LONG]  = { "number_too_long",  "a number is longer than 64 characters" },
    [JSON_NUMBER_RANGE]     = { "number_range",     "a number is out of range" },
    [JSON_TRAILING]         = { "trailing",         "something follows after the end of the JSON text" },
    [JSON_INCOMPLETE]       = { "incomplete",       "the JSON text is empty or ends too early" },
    [JSON_MEMORY]           = { "memory",           "the JSON text needs more memory than there is" },
};
// clang-format on

const char *json_fault_name(enum json_fault fault)
{
    return faults[fault < JSON_FAULT_COUNT ? fault : JSON_SYNTAX].name;
}

const char *json_fault_sentence(enum json_fault fault)
{
    return faults[fault < JSON_FAULT_COUNT ? fault : JSON_SYNTAX].sentence;
}
