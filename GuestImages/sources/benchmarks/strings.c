// The C library's string functions on mixed sizes and alignments. Built with -fno-builtin: the calls are the subject.
#include "../benchmark.h"

enum { length = 1 << 15 };
static char text[length + 64], copy[length + 64];

static const char *const words[] = {"the", "translator", "reads", "a", "block", "of", "guest", "instructions", "and", "writes", "machine", "code"};

static void fill_text(uint64_t *seed) {
    size_t at = 0;
    while (at < length - 32) {
        const char *word = words[random_next(seed) % 12];
        strcpy(text + at, word);
        at += strlen(word);
        text[at++] = ' ';
    }
    text[at] = 0;
}

static uint64_t short_strings(uint64_t *seed) {
    char buffer[256];
    uint64_t sum = 0;
    for (int i = 0; i < 400; i++) {
        uint64_t word = random_next(seed);
        const char *a = words[word % 12], *b = words[(word >> 8) % 12];
        int order = strcmp(a, b);
        sum = sum * 3 + (uint64_t)(order > 0) + 2 * (uint64_t)(order < 0);
        strcpy(buffer, a);
        strcat(buffer, b);
        strncpy(buffer + 64, buffer, 20);
        buffer[84] = 0;
        sum += strlen(buffer) + (size_t)(strncmp(buffer, buffer + 64, 24) == 0) + strspn(buffer, "theca") + strcspn(buffer, "dk");
        const char *found = strrchr(buffer, 'e');
        sum = fold(sum, found ? (uint64_t)(found - buffer) : 99);
    }
    return sum;
}

static uint64_t blocks(uint64_t *seed) {
    uint64_t sum = 0;
    for (int i = 0; i < 60; i++) {
        uint64_t word = random_next(seed);
        size_t size = (word & 0xfff) >> (word >> 60), from = word >> 16 & 0x3fff, to = word >> 32 & 0x3fff;
        memcpy(copy + to, text + from, size);
        sum += (uint64_t)(memcmp(copy + to, text + from, size) == 0);
        memmove(copy + to + 3, copy + to, size);
        memset(copy + (to ^ 0x2000), (int)(word >> 56), size / 2);
        const char *found = memchr(copy + to, 'z', size);
        sum = fold(sum, found ? (uint64_t)(found - copy) : size);
    }
    return sum;
}

static uint64_t searches(uint64_t round) {
    uint64_t found = 0, sum = 0;
    for (const char *at = text; (at = strchr(at, 'g')) != NULL; at++) found++;
    for (const char *at = text; (at = strstr(at, words[round % 12])) != NULL; at++) sum += (uint64_t)(at - text);
    return fold(sum, found + strlen(text + (round & 31)));
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 8000), seed = 21, sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        if (round % 64 == 0) fill_text(&seed);
        sum = fold(sum, short_strings(&seed));
        sum = fold(sum, blocks(&seed));
        sum = fold(sum, searches(round));
    }
    return report("strings", sum);
}
