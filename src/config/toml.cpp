/* TOML through toml++, and nothing of C++ outside this file. The document becomes a vector of
 * leaves, sorted by line because the library keeps tables by name and people read files from the
 * top. */
#include "config/toml.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

namespace
{

/* Deeper tables than any option has; ends the recursion. */
constexpr int DEEPEST = 8;

struct leaf {
    std::string path;
    toml_leaf plain;
    std::string *secret; /* the string to wipe, or null */
};

/* What a leaf inherits from where it stands. */
struct place {
    std::string path;
    int table;
    int depth;
};

bool bare(std::string_view key)
{
    return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
}

std::string join(const std::string &path, std::string_view key)
{
    std::string out = path.empty() ? path : path + '.';
    if (bare(key))
        return out.append(key);
    out += '"';
    /* It is shown to people: no byte of it may talk to their terminal. */
    for (unsigned char c : key)
        out += c < 0x20 || c == 0x7f || c == '"' ? '?' : static_cast<char>(c);
    return out += '"';
}

void add(std::vector<leaf> &leaves, const place &at, toml::node &node, int item, toml_type type)
{
    leaf out{at.path, {}, nullptr};
    out.plain.table = at.table;
    out.plain.item = item;
    out.plain.type = type;
    out.plain.line = node.source().begin.line;
    if (auto *text = node.as_string()) {
        out.secret = &text->get();
        out.plain.text = text->get().data();
        out.plain.text_len = text->get().size();
    } else if (auto *integer = node.as_integer()) {
        out.plain.integer = integer->get();
    } else if (auto *boolean = node.as_boolean()) {
        out.plain.boolean = boolean->get();
    }
    leaves.push_back(std::move(out));
}

toml_type type_of(const toml::node &node)
{
    switch (node.type()) {
    case toml::node_type::string:
        return TOML_STRING;
    case toml::node_type::integer:
        return TOML_INTEGER;
    case toml::node_type::floating_point:
        return TOML_FLOAT;
    case toml::node_type::boolean:
        return TOML_BOOLEAN;
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
        return TOML_TIME;
    default:
        return TOML_NESTED;
    }
}

void walk_table(std::vector<leaf> &leaves, const place &at, toml::table &table);

void walk_array(std::vector<leaf> &leaves, const place &at, toml::array &array)
{
    if (array.empty())
        return add(leaves, at, array, -1, TOML_EMPTY_LIST);
    bool tables = array.is_array_of_tables();
    for (std::size_t i = 0; i < array.size(); i++) {
        int index = static_cast<int>(i);
        if (tables)
            walk_table(leaves, {at.path, index, at.depth + 1}, *array[i].as_table());
        else
            add(leaves, at, array[i], index, type_of(array[i]));
    }
}

void walk_table(std::vector<leaf> &leaves, const place &at, toml::table &table)
{
    if (at.depth > DEEPEST)
        return add(leaves, at, table, -1, TOML_NESTED);
    if (table.empty() && !at.path.empty())
        return add(leaves, at, table, -1, TOML_EMPTY_TABLE);
    for (auto &&[key, node] : table) {
        place inside{join(at.path, key.str()), at.table, at.depth + 1};
        if (auto *deeper = node.as_table())
            walk_table(leaves, inside, *deeper);
        else if (auto *array = node.as_array())
            walk_array(leaves, inside, *array);
        else
            add(leaves, inside, node, -1, type_of(node));
    }
}

/* The library repeats what it could not read; a key that somebody forgot to quote must not get into
 * a log that way. Names of keys ("cannot redefine existing string 'x'") may stay. */
std::string without_values(std::string_view text)
{
    constexpr std::size_t SHORT = 4;
    std::string out;
    bool names = text.find("redefine") != std::string_view::npos;
    while (!text.empty()) {
        std::size_t open = text.find('\'');
        std::size_t close = open == text.npos ? open : text.find('\'', open + 1);
        if (names || close == text.npos)
            return out.append(text);
        bool brief = close - open <= SHORT;
        out.append(text.substr(0, open));
        out.append(brief ? text.substr(open, close - open + 1) : "a value");
        text.remove_prefix(close + 1);
    }
    return out;
}

void explain(const toml::parse_error &problem, toml_error *error)
{
    std::string_view text = problem.description();
    const char *redefined = "cannot redefine existing table '";
    std::size_t at = text.find(redefined);
    error->line = problem.source().begin.line;
    if (at == std::string_view::npos) {
        std::snprintf(error->sentence, sizeof error->sentence, "this is not valid TOML: %.300s",
                      without_values(text).c_str());
        return;
    }
    std::string_view name = text.substr(at + std::strlen(redefined));
    name = name.substr(0, std::min<std::size_t>(name.find('\''), 100));
    std::snprintf(
        error->sentence, sizeof error->sentence,
        "the table [%.*s] is there already; two snippets that both begin with it want merging "
        "into one table",
        static_cast<int>(name.size()), name.data());
}

} // namespace

extern "C" bool toml_walk(const char *text, size_t text_len, toml_leaf_fn *callback, void *context,
                          toml_error *error)
{
    *error = {};
    try {
        toml::table document = toml::parse(std::string_view{text, text_len});
        std::vector<leaf> leaves;
        walk_table(leaves, {"", -1, 0}, document);
        std::stable_sort(leaves.begin(), leaves.end(),
                         [](const leaf &a, const leaf &b) { return a.plain.line < b.plain.line; });
        for (leaf &each : leaves) {
            each.plain.path = each.path.c_str();
            callback(context, &each.plain);
            if (each.secret)
                explicit_bzero(each.secret->data(), each.secret->size());
        }
        return true;
    } catch (const toml::parse_error &problem) {
        explain(problem, error);
    } catch (...) {
        std::snprintf(error->sentence, sizeof error->sentence, "it cannot be read: out of memory");
    }
    return false;
}

extern "C" const char *toml_type_name(toml_type type)
{
    static const char *const names[] = {
        "a text",        "a whole number",        "a number with a fraction",
        "true or false", "a date or time",        "an empty list",
        "a table",       "a nested list or table"};
    return names[type];
}
