// A mix of list handling, 16-bit matrices, a character-driven state machine and a CRC, all small and branchy.
#include "../benchmark.h"

typedef struct Item {
    struct Item *next;
    int16_t key, value;
} Item;

enum { itemCount = 160, side = 12, textLength = 512 };
enum State { atStart, inSign, inInteger, inPoint, inFraction, inExponent, inExponentDigits, invalid, stateCount };

static Item items[itemCount];
static int16_t left[side][side], right[side][side];
static int32_t product[side][side];
static unsigned char text[textLength];

static uint16_t crc16(uint16_t crc, uint16_t word) {
    for (int bit = 0; bit < 16; bit++) {
        unsigned carry = (crc ^ word) & 1;
        crc >>= 1;
        if (carry) crc ^= 0xa001;
        word >>= 1;
    }
    return crc;
}

static Item *merge_lists(Item *a, Item *b, int by_value) {
    Item head = {0}, *tail = &head;
    while (a && b) {
        int a_first = by_value ? a->value <= b->value : a->key <= b->key;
        Item **taken = a_first ? &a : &b;
        tail->next = *taken;
        tail = *taken;
        *taken = tail->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static Item *sort_list(Item *list, int by_value) {
    if (!list || !list->next) return list;
    Item *slow = list, *fast = list->next;
    while (fast && fast->next) slow = slow->next, fast = fast->next->next;
    Item *second = slow->next;
    slow->next = NULL;
    return merge_lists(sort_list(list, by_value), sort_list(second, by_value), by_value);
}

static uint16_t run_list(uint16_t crc, uint64_t *seed) {
    Item *list = NULL;
    for (int i = 0; i < itemCount; i++) {
        uint64_t word = random_next(seed);
        items[i] = (Item){list, (int16_t)(word >> 8), (int16_t)(word >> 32)};
        list = &items[i];
    }
    list = sort_list(list, 1);
    for (Item *item = list; item; item = item->next) crc = crc16(crc, (uint16_t)item->value);
    list = sort_list(list, 0);
    Item *reversed = NULL;
    while (list) {
        Item *next = list->next;
        list->next = reversed;
        reversed = list;
        list = next;
    }
    for (Item *item = reversed; item; item = item->next) crc = crc16(crc, (uint16_t)item->key);
    return crc;
}

static uint16_t run_matrix(uint16_t crc, uint64_t *seed) {
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            uint64_t word = random_next(seed);
            left[i][j] = (int16_t)word;
            right[i][j] = (int16_t)(word >> 16);
        }
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            uint32_t sum = 0;
            for (int k = 0; k < side; k++) {
                int32_t term = left[i][k] * right[k][j];
                sum += (uint32_t)((term >> 2) & 0xf) * (uint32_t)((term >> 5) & 0x7f) + (uint32_t)term;
            }
            product[i][j] = (int32_t)sum;
        }
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) crc = crc16(crc, (uint16_t)(product[i][j] >> (i & 7)));
    return crc;
}

static enum State step(enum State state, unsigned char c) {
    int digit = c >= '0' && c <= '9';
    switch (state) {
    case atStart: return digit ? inInteger : c == '+' || c == '-' ? inSign : c == '.' ? inPoint : invalid;
    case inSign: return digit ? inInteger : c == '.' ? inPoint : invalid;
    case inInteger: return digit ? inInteger : c == '.' ? inPoint : c == 'e' ? inExponent : invalid;
    case inPoint: return digit ? inFraction : invalid;
    case inFraction: return digit ? inFraction : c == 'e' ? inExponent : invalid;
    case inExponent: return digit || c == '-' ? inExponentDigits : invalid;
    case inExponentDigits: return digit ? inExponentDigits : invalid;
    default: return invalid;
    }
}

static uint16_t run_states(uint16_t crc, uint64_t *seed) {
    static const char alphabet[] = "0123456789012345+-..e,, ";
    uint16_t visits[stateCount] = {0};
    for (int i = 0; i < textLength; i++) text[i] = (unsigned char)alphabet[(random_next(seed) >> 33) % 24];
    enum State state = atStart;
    for (int i = 0; i < textLength; i++) {
        state = text[i] == ',' || text[i] == ' ' ? atStart : step(state, text[i]);
        visits[state]++;
    }
    for (int i = 0; i < stateCount; i++) crc = crc16(crc, visits[i]);
    return crc;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 14000), seed = 0x1234567, sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        uint16_t crc = run_states(run_matrix(run_list((uint16_t)round, &seed), &seed), &seed);
        sum = fold(sum, crc);
    }
    return report("state-machine", sum);
}
