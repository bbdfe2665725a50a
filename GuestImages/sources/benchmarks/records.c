// Records, enumerations, small strings and parameter passing: the statement mix of everyday business code.
#include "../benchmark.h"

typedef enum { red, green, blue, white, black } Colour;
typedef struct Record {
    struct Record *link;
    Colour colour, shade;
    int amount;
    char name[32];
} Record;

static Record first, second;
static int global_count, one_dimension[64], two_dimensions[64][64];
static char mark_one, mark_two;

#define CALL __attribute__((noinline, noclone)) static

CALL Colour next_colour(Colour colour, int amount) {
    switch (colour) {
    case red: return amount > 100 ? green : black;
    case green: return amount & 1 ? blue : white;
    case blue: return red;
    case white: return green;
    default: return amount > 50 ? white : red;
    }
}

CALL int same_letter(char a, char b) {
    char kept = a;
    if (kept != b) return 0;
    mark_one = kept;
    return 1;
}

CALL int compare_names(const char *a, const char *b) {
    int position = 2, matches = 0;
    while (position < 4) {
        if (same_letter(a[position], b[position + 1])) matches++;
        position++;
    }
    if (matches > 1) return 1;
    if (strcmp(a, b) > 0) {
        global_count += position;
        return 1;
    }
    return 0;
}

CALL void add_amounts(int a, int b, int *out) { *out = b + a + 2; }

CALL void update_arrays(int *line, int (*table)[64], int index, int value) {
    int at = (index + 5) & 31;
    line[at] = value;
    line[at + 1] = line[at];
    line[at + 30] = at;
    for (int i = at; i <= at + 1; i++) table[at][i] = at;
    table[at][at ? at - 1 : 0]++;
    table[at + 20][at] = line[at];
    global_count = 5 + (global_count & 0xffff);
}

CALL void update_record(Record *record, int turn) {
    Record *next = record->link;
    *next = *record;
    next->link = record;
    next->amount = record->amount + 5 + turn % 3;
    next->colour = next_colour(record->colour, next->amount);
    if (next->colour == red) {
        next->amount = 6;
        next->shade = next_colour(next->shade, turn);
    } else {
        add_amounts(next->amount, 10, &next->amount);
    }
    record->amount = next->amount & 0x3ff;
    record->colour = next->colour;
    next->name[turn & 15] = (char)('A' + turn % 26);
    memcpy(record->name, next->name, sizeof record->name);
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 14000000), sum = 0;
    char line_one[32], line_two[32];
    first = (Record){&second, red, blue, 40, "A RECORD OF SOME THING OR OTHER"};
    second.link = &first;
    strcpy(line_one, "A RECORD, FIRST STRING");
    for (uint64_t round = 0; round < rounds; round++) {
        int turn = (int)(round & 0xfffff), a = 2, b = 3, c = 0;
        update_record(&first, turn);
        strcpy(line_two, "A RECORD, SECOND STRING");
        line_two[(turn & 7) + 10] = (char)('B' + (turn & 3));
        mark_two = compare_names(line_one, line_two) ? 'y' : 'n';
        while (a < b) {
            c = 5 * a - b;
            add_amounts(a, b, &c);
            a++;
        }
        update_arrays(one_dimension, two_dimensions, a + turn, c + first.amount);
        for (char mark = 'A'; mark <= mark_two - 20 && mark < 'D'; mark++) c += mark == mark_one;
        b = (b * a + turn) / (c | 1);
        if (round % 64 == 0) sum = fold(sum, (uint64_t)(uint32_t)(first.amount + b * 7 + (int)first.colour + global_count + one_dimension[turn & 63]));
    }
    return report("records", fold(sum, (uint64_t)(unsigned char)first.name[3] + (uint64_t)two_dimensions[20][3]));
}
