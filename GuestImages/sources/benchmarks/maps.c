// A balanced tree and a chained hash table on malloc and free; both must hold the same pairs.
#include "../benchmark.h"

typedef struct Node {
    struct Node *child[2];
    uint64_t key, value;
    int height;
} Node;

typedef struct Entry {
    struct Entry *next;
    uint64_t key, value;
} Entry;

enum { bucketCount = 1 << 13, keyRange = 30000 };
static Entry *buckets[bucketCount];

static int height(const Node *node) { return node ? node->height : 0; }

static void measure(Node *node) {
    int left = height(node->child[0]), right = height(node->child[1]);
    node->height = 1 + (left > right ? left : right);
}

/// Lifts the child on `side` above the node.
static Node *rotate(Node *node, int side) {
    Node *lifted = node->child[side];
    node->child[side] = lifted->child[!side];
    lifted->child[!side] = node;
    measure(node);
    measure(lifted);
    return lifted;
}

static Node *balance(Node *node) {
    measure(node);
    int lean = height(node->child[1]) - height(node->child[0]);
    if (lean >= -1 && lean <= 1) return node;
    int side = lean > 0;
    Node *heavy = node->child[side];
    if (height(heavy->child[!side]) > height(heavy->child[side])) node->child[side] = rotate(heavy, !side);
    return rotate(node, side);
}

static Node *tree_add(Node *node, uint64_t key, uint64_t value) {
    if (!node) {
        node = malloc(sizeof *node);
        *node = (Node){.key = key, .value = value, .height = 1};
        return node;
    }
    if (key == node->key) {
        node->value += value;
        return node;
    }
    int side = key > node->key;
    node->child[side] = tree_add(node->child[side], key, value);
    return balance(node);
}

static Node *take_smallest(Node *node, Node **smallest) {
    if (!node->child[0]) {
        *smallest = node;
        return node->child[1];
    }
    node->child[0] = take_smallest(node->child[0], smallest);
    return balance(node);
}

static Node *tree_remove(Node *node, uint64_t key) {
    if (!node) return NULL;
    if (key != node->key) {
        int side = key > node->key;
        node->child[side] = tree_remove(node->child[side], key);
        return balance(node);
    }
    Node *left = node->child[0], *right = node->child[1];
    free(node);
    if (!right) return left;
    Node *root;
    right = take_smallest(right, &root);
    root->child[0] = left;
    root->child[1] = right;
    return balance(root);
}

static Entry **bucket(uint64_t key) { return &buckets[key * 0x9e3779b97f4a7c15ull >> 51]; }

static void table_add(uint64_t key, uint64_t value) {
    for (Entry *entry = *bucket(key); entry; entry = entry->next)
        if (entry->key == key) {
            entry->value += value;
            return;
        }
    Entry *entry = malloc(sizeof *entry);
    *entry = (Entry){*bucket(key), key, value};
    *bucket(key) = entry;
}

static void table_remove(uint64_t key) {
    for (Entry **link = bucket(key); *link; link = &(*link)->next)
        if ((*link)->key == key) {
            Entry *found = *link;
            *link = found->next;
            free(found);
            return;
        }
}

static uint64_t table_find(uint64_t key) {
    for (Entry *entry = *bucket(key); entry; entry = entry->next)
        if (entry->key == key) return entry->value;
    return 0;
}

static uint64_t walk(const Node *node, uint64_t sum) {
    if (!node) return sum;
    sum = walk(node->child[0], sum);
    require(table_find(node->key) == node->value, "tree and table agree");
    return walk(node->child[1], fold(sum, node->key ^ node->value << 20));
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 1800000), seed = 11, sum = 0;
    Node *tree = NULL;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t word = random_next(&seed), key = word % keyRange;
        if (word >> 62 == 3) {
            tree = tree_remove(tree, key);
            table_remove(key);
        } else {
            tree = tree_add(tree, key, word >> 50);
            table_add(key, word >> 50);
        }
        if (round % 100000 == 0) sum = walk(tree, sum);
    }
    return report("maps", walk(tree, sum));
}
