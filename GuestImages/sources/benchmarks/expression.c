// A small language: parsed from text into a tree, then run by walking the tree.
// Statements: name = expression; while (e) { … } if (e) { … } fn name(a) { … return e; }
#include "../benchmark.h"

typedef enum { number, variable, binary, negate, invoke, assign, loop, choose, sequence, give } Kind;
typedef struct Node {
    Kind kind;
    int operation, slot;
    double value;
    struct Node *left, *right, *next;
} Node;

enum { slotCount = 32, functionCount = 8 };
typedef struct {
    char name[12];
    Node *body;
} Function;
typedef struct {
    double slots[slotCount], result;
    int returned;
} Frame;

static const char *at;
static char names[slotCount][12];
static int name_count, function_count;
static Function functions[functionCount];

static void skip_space(void) {
    while (*at == ' ' || *at == '\n') at++;
}

static int accept(const char *token) {
    skip_space();
    size_t size = strlen(token);
    if (strncmp(at, token, size)) return 0;
    at += size;
    return 1;
}

static void expect(const char *token) { require(accept(token), token); }
static int is_letter(int c) { return (c >= 'a' && c <= 'z') || c == '_'; }

static void read_name(char out[12]) {
    int size = 0;
    skip_space();
    while (is_letter(*at) && size < 11) out[size++] = *at++;
    require(size > 0, "a name");
    out[size] = 0;
}

static int slot_of(const char *name) {
    for (int i = 0; i < name_count; i++)
        if (!strcmp(names[i], name)) return i;
    require(name_count < slotCount, "fewer names");
    strcpy(names[name_count], name);
    return name_count++;
}

static Node *make(Kind kind, Node *left, Node *right) {
    Node *node = calloc(1, sizeof *node);
    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static Node *parse_expression(int level);

static Node *parse_primary(void) {
    if (accept("(")) {
        Node *inner = parse_expression(0);
        expect(")");
        return inner;
    }
    if (accept("-")) return make(negate, parse_primary(), NULL);
    skip_space();
    if (*at >= '0' && *at <= '9') {
        Node *node = make(number, NULL, NULL);
        while (*at >= '0' && *at <= '9') node->value = node->value * 10 + (*at++ - '0');
        return node;
    }
    char name[12];
    read_name(name);
    if (accept("(")) {
        Node *node = make(invoke, parse_expression(0), NULL);
        expect(")");
        node->slot = -1;
        for (int i = 0; i < function_count; i++)
            if (!strcmp(functions[i].name, name)) node->slot = i;
        require(node->slot >= 0, "a known function");
        return node;
    }
    Node *node = make(variable, NULL, NULL);
    node->slot = slot_of(name);
    return node;
}

static Node *parse_expression(int level) {
    static const char *const operators[3] = {"<=", "+-", "*/%"};
    if (level == 3) return parse_primary();
    Node *left = parse_expression(level + 1);
    for (;;) {
        skip_space();
        if (!*at || !strchr(operators[level], *at)) return left;
        int operation = *at++;
        left = make(binary, left, parse_expression(level + 1));
        left->operation = operation;
    }
}

static Node *parse_block(void);

static Node *parse_statement(void) {
    if (accept("while ")) {
        Node *condition = parse_expression(0);
        return make(loop, condition, parse_block());
    }
    if (accept("if ")) {
        Node *condition = parse_expression(0);
        return make(choose, condition, parse_block());
    }
    if (accept("return ")) {
        Node *node = make(give, parse_expression(0), NULL);
        expect(";");
        return node;
    }
    char name[12];
    read_name(name);
    expect(":=");
    Node *node = make(assign, parse_expression(0), NULL);
    node->slot = slot_of(name);
    expect(";");
    return node;
}

static Node *parse_block(void) {
    Node *block = make(sequence, NULL, NULL), **tail = &block->left;
    expect("{");
    while (!accept("}")) {
        *tail = parse_statement();
        tail = &(*tail)->next;
    }
    return block;
}

static void parse_functions(const char *source) {
    at = source;
    while (accept("fn ")) {
        Function *function = &functions[function_count++];
        read_name(function->name);
        function->body = parse_block();
    }
}

static double call(int function, double argument);

static double evaluate(const Node *node, Frame *frame) {
    switch (node->kind) {
    case number: return node->value;
    case variable: return frame->slots[node->slot];
    case negate: return -evaluate(node->left, frame);
    case invoke: return call(node->slot, evaluate(node->left, frame));
    case binary: {
        double a = evaluate(node->left, frame), b = evaluate(node->right, frame);
        switch (node->operation) {
        case '+': return a + b;
        case '-': return a - b;
        case '*': return a * b;
        case '/': return a / b;
        case '<': return a < b;
        case '=': return a == b;
        default: return (double)((int64_t)a % (int64_t)b);
        }
    }
    default: require(0, "an expression"); return 0;
    }
}

static void execute(const Node *node, Frame *frame) {
    switch (node->kind) {
    case assign: frame->slots[node->slot] = evaluate(node->left, frame); break;
    case choose:
        if (evaluate(node->left, frame) != 0) execute(node->right, frame);
        break;
    case loop:
        while (!frame->returned && evaluate(node->left, frame) != 0) execute(node->right, frame);
        break;
    case give:
        frame->result = evaluate(node->left, frame);
        frame->returned = 1;
        break;
    default:
        for (const Node *part = node->left; part && !frame->returned; part = part->next) execute(part, frame);
    }
}

static double call(int function, double argument) {
    Frame frame;
    memset(&frame, 0, sizeof frame);
    frame.slots[0] = argument;
    execute(functions[function].body, &frame);
    return frame.result;
}

static const char source[] =
    "fn fib { if x < 2 { return x; } return fib(x - 1) + fib(x - 2); }"
    "fn collatz { n := x; s := 0; while 1 < n { r := n % 2; if r = 0 { n := n / 2; } if r = 1 { n := 3 * n + 1; } s := s + 1; } return s; }"
    "fn series { i := 0; s := 0; g := 1; while i < x { s := s + g * 4 / (2 * i + 1); g := -g; i := i + 1; } return s; }"
    "fn all { i := 1; t := 0; while i < 300 { t := t + collatz(i + x); i := i + 1; } return t + fib(17) + series(2000); }";

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 160), sum = 0;
    slot_of("x");
    parse_functions(source);
    require(call(0, 20) == 6765, "Fibonacci number 20");
    for (uint64_t round = 0; round < rounds; round++) sum = fold_double(sum, call(3, (double)(round * 100)));
    return report("expression", sum);
}
