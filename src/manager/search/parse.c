/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/query.h"

#include <stdlib.h>

#include "gen/faults.h"

enum token_kind { END, WORD, QUOTED, RELATION, OPEN, CLOSE };

struct parser {
    const char *at;
    enum token_kind token;
    char *text; /* of WORD and QUOTED; owned */
    enum vr_search_relation relation;
    struct vr_search *search;
    unsigned terms, depth;
    const char *wrong; /* the first mistake, or NULL */
};

static void fail(struct parser *parser, const char *why)
{
    if (!parser->wrong)
        parser->wrong = why;
    parser->token = END;
}

static bool ends_word(char c)
{
    return !c || g_ascii_isspace(c) || strchr("=!<>()\"", c);
}

static void read_relation(struct parser *parser)
{
    static const struct {
        const char *text;
        enum vr_search_relation relation;
    } relations[] = {
        { "!=", VR_SEARCH_NE }, { "<=", VR_SEARCH_LE }, { ">=", VR_SEARCH_GE },
        { "=", VR_SEARCH_EQ },  { "<", VR_SEARCH_LT },  { ">", VR_SEARCH_GT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(relations); i++) {
        if (g_str_has_prefix(parser->at, relations[i].text)) {
            parser->token = RELATION;
            parser->relation = relations[i].relation;
            parser->at += strlen(relations[i].text);
            return;
        }
    }
    fail(parser, "a relation is not one");
}

static void advance(struct parser *parser)
{
    g_clear_pointer(&parser->text, g_free);
    if (parser->wrong)
        return;
    while (g_ascii_isspace(*parser->at))
        parser->at++;
    const char *start = parser->at;
    if (!*start) {
        parser->token = END;
    } else if (*start == '(' || *start == ')') {
        parser->token = *start == '(' ? OPEN : CLOSE;
        parser->at++;
    } else if (*start == '"') {
        const char *end = strchr(start + 1, '"');
        if (!end) {
            fail(parser, "a quote is not closed");
            return;
        }
        parser->token = QUOTED;
        parser->text = g_strndup(start + 1, (gsize)(end - start - 1));
        parser->at = end + 1;
    } else if (strchr("=!<>", *start)) {
        read_relation(parser);
    } else {
        while (!ends_word(*parser->at))
            parser->at++;
        parser->token = WORD;
        parser->text = g_strndup(start, (gsize)(parser->at - start));
    }
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->token == WORD && g_ascii_strcasecmp(parser->text, word) == 0;
}

static bool is_keyword(const struct parser *parser)
{
    return is_word(parser, "and") || is_word(parser, "or") || is_word(parser, "sortby") ||
           is_word(parser, "page");
}

static bool ends_criteria(const struct parser *parser)
{
    return parser->token == END || parser->token == CLOSE || is_word(parser, "sortby") ||
           is_word(parser, "page");
}

static struct vr_search_node *node_new(enum vr_search_node_kind kind, struct vr_search_node *left,
                                       struct vr_search_node *right)
{
    struct vr_search_node *node = g_new0(struct vr_search_node, 1);
    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static void node_free(struct vr_search_node *node)
{
    if (!node)
        return;
    node_free(node->left);
    node_free(node->right);
    if (node->condition)
        vr_search_condition_done(node->condition);
    g_free(node->condition);
    vr_search_pattern_done(&node->text);
    g_free(node);
}

static struct vr_search_node *parse_text(struct parser *parser, const char *text)
{
    struct vr_search_node *node = node_new(VR_SEARCH_TEXT, NULL, NULL);
    vr_search_pattern_init(&node->text, text, parser->search->case_sensitive);
    node->text.inside = true;
    return node;
}

/* The relation is the current token. */
static struct vr_search_node *parse_relation(struct parser *parser, const char *word)
{
    struct vr_search *search = parser->search;
    struct vr_search_path path;
    enum vr_search_relation relation = parser->relation;
    advance(parser);
    if ((parser->token != WORD && parser->token != QUOTED) || is_keyword(parser)) {
        fail(parser, "a value is missing");
        return NULL;
    }
    if (!vr_search_path_word(&path, search->kind, word)) {
        fail(parser, "a field is unknown");
        return NULL;
    }
    struct vr_search_node *node = node_new(VR_SEARCH_CONDITION, NULL, NULL);
    node->condition = g_new0(struct vr_search_condition, 1);
    if (!vr_search_condition_init(node->condition, &path, relation, parser->text,
                                  search->case_sensitive, search->now_ms))
        fail(parser, "a value or relation does not fit its field");
    else
        advance(parser);
    return node;
}

static struct vr_search_node *parse_or(struct parser *parser);

static struct vr_search_node *parse_condition(struct parser *parser)
{
    if (++parser->terms > VR_SEARCH_TERMS) {
        fail(parser, "it has too many terms");
        return NULL;
    }
    if (parser->token == OPEN) {
        if (++parser->depth > VR_SEARCH_DEPTH) {
            fail(parser, "it is nested too deeply");
            return NULL;
        }
        advance(parser);
        struct vr_search_node *node = parse_or(parser);
        parser->depth--;
        if (parser->token != CLOSE)
            fail(parser, "a parenthesis is not closed");
        else
            advance(parser);
        return node;
    }
    if ((parser->token != WORD && parser->token != QUOTED) || is_keyword(parser)) {
        fail(parser, "a condition is missing");
        return NULL;
    }
    bool quoted = parser->token == QUOTED;
    g_autofree char *word = g_steal_pointer(&parser->text);
    advance(parser);
    if (parser->token == RELATION && !quoted)
        return parse_relation(parser, word);
    return parse_text(parser, word);
}

static struct vr_search_node *parse_and(struct parser *parser)
{
    struct vr_search_node *left = parse_condition(parser);
    while (!parser->wrong && !ends_criteria(parser) && !is_word(parser, "or")) {
        if (is_word(parser, "and"))
            advance(parser);
        left = node_new(VR_SEARCH_AND, left, parse_condition(parser));
    }
    return left;
}

static struct vr_search_node *parse_or(struct parser *parser)
{
    struct vr_search_node *left = parse_and(parser);
    while (!parser->wrong && is_word(parser, "or")) {
        advance(parser);
        left = node_new(VR_SEARCH_OR, left, parse_and(parser));
    }
    return left;
}

static void parse_sortby(struct parser *parser)
{
    struct vr_search *search = parser->search;
    advance(parser);
    if (parser->token != WORD) {
        fail(parser, "the field to sort by is missing");
        return;
    }
    if (!vr_search_path_word(&search->order, search->kind, parser->text)) {
        fail(parser, "the field to sort by is unknown");
        return;
    }
    search->sorted = true;
    advance(parser);
    search->descending = is_word(parser, "desc");
    if (search->descending || is_word(parser, "asc"))
        advance(parser);
}

static void parse_page(struct parser *parser)
{
    advance(parser);
    char *end = NULL;
    if (parser->token == WORD)
        parser->search->page = g_ascii_strtoll(parser->text, &end, 10);
    if (!end || *end || parser->search->page < 1 || parser->search->page > INT32_MAX)
        fail(parser, "the page is no number");
    else
        advance(parser);
}

struct vr_search *vr_search_new(int kind, const char *query, bool case_sensitive, int64_t now_ms,
                                struct vr_error **error)
{
    if (strlen(query) > VR_SEARCH_LENGTH || strpbrk(query, "';")) {
        vr_error_set(error, &vr_fault_bad_request,
                     "The query is too long or holds ' or ;, which no query may.");
        return NULL;
    }
    struct vr_search *search = g_new0(struct vr_search, 1);
    search->kind = kind;
    search->case_sensitive = case_sensitive;
    search->now_ms = now_ms;
    struct parser parser = { .at = query, .search = search };
    advance(&parser);
    if (!ends_criteria(&parser))
        search->root = parse_or(&parser);
    if (is_word(&parser, "sortby"))
        parse_sortby(&parser);
    if (is_word(&parser, "page"))
        parse_page(&parser);
    if (parser.token != END)
        fail(&parser, "something is left over");
    g_free(parser.text);
    if (parser.wrong) {
        vr_error_set(error, &vr_fault_bad_request, "The query is none: %s.", parser.wrong);
        vr_search_free(search);
        return NULL;
    }
    return search;
}

void vr_search_free(struct vr_search *search)
{
    if (!search)
        return;
    node_free(search->root);
    g_free(search);
}
