// Indirect jumps of every common shape: virtual calls, function pointers, a dense switch, and labels as values.
#include "../benchmark.h"

namespace {

struct Shape {
    int64_t width, height;
    virtual int64_t area() const { return 0; }
    virtual int64_t edge() const { return width; }
    virtual void grow(int64_t by) { width += by; }
};
struct Rectangle : Shape {
    int64_t area() const override { return width * height; }
    int64_t edge() const override { return 2 * (width + height); }
    void grow(int64_t by) override { width = (width + by) & 0xffff; }
};
struct Triangle : Shape {
    int64_t area() const override { return width * height / 2; }
    int64_t edge() const override { return width + 2 * height; }
    void grow(int64_t by) override { height = (height + 3 * by) & 0xffff; }
};
struct Disk : Shape {
    int64_t area() const override { return width * width * 355 / 113; }
    int64_t edge() const override { return width * 710 / 113; }
};
struct Square final : Rectangle {
    int64_t area() const override { return width * width; }
    void grow(int64_t by) override { width = height = (width + by) & 0xfff; }
};

constexpr int shapeCount = 512;
Rectangle rectangles[shapeCount / 4];
Triangle triangles[shapeCount / 4];
Disk disks[shapeCount / 4];
Square squares[shapeCount / 4];
Shape *shapes[shapeCount];

uint64_t virtual_calls() {
    int64_t sum = 0;
    for (Shape *shape : shapes) {
        shape->grow(sum & 7);
        sum += shape->area() ^ shape->edge();
    }
    return static_cast<uint64_t>(sum);
}

using Step = uint64_t (*)(uint64_t);
uint64_t step_add(uint64_t x) { return x + 0x9e37; }
uint64_t step_shift(uint64_t x) { return x ^ (x >> 7); }
uint64_t step_multiply(uint64_t x) { return x * 0x10001; }
uint64_t step_invert(uint64_t x) { return ~x; }
uint64_t step_rotate(uint64_t x) { return x << 13 | x >> 51; }
uint64_t step_swap(uint64_t x) { return x << 32 | x >> 32; }
uint64_t step_mask(uint64_t x) { return x | (x & 0xff00) << 16; }
uint64_t step_subtract(uint64_t x) { return x - (x >> 3); }
Step steps[8] = {step_add, step_shift, step_multiply, step_invert, step_rotate, step_swap, step_mask, step_subtract};

uint64_t function_pointers(uint64_t x, const unsigned char *choices, int length) {
    for (int i = 0; i < length; i++) x = steps[choices[i] & 7](x);
    return x;
}

uint64_t dense_switch(uint64_t x, const unsigned char *choices, int length) {
    for (int i = 0; i < length; i++) {
        switch (choices[i] & 15) {
        case 0: x += 3; break;
        case 1: x ^= x << 3; break;
        case 2: x *= 5; break;
        case 3: x -= x >> 9; break;
        case 4: x = ~x; break;
        case 5: x ^= 0x5555555555555555ull; break;
        case 6: x += x >> 17; break;
        case 7: x = x << 1 | x >> 63; break;
        case 8: x *= 0x101; break;
        case 9: x += static_cast<uint64_t>(i); break;
        case 10: x ^= x >> 31; break;
        case 11: x -= 77; break;
        case 12: x = (x & 0xffffffff) * 3 + (x >> 32); break;
        case 13: x |= 1; break;
        case 14: x += x << 5; break;
        case 15: x ^= static_cast<uint64_t>(i) * 7; break;
        }
    }
    return x;
}

uint64_t threaded_code(uint64_t x, const unsigned char *choices, int length) {
    static const void *const labels[8] = {&&op_increment, &&op_double, &&op_mix, &&op_swap, &&op_branch, &&op_table, &&op_second, &&op_exchange};
    uint64_t y = 1, table[16] = {0};
    const unsigned char *next = choices, *end = choices + length;
// Every operation carries its own indirect jump, as threaded interpreters do.
#define NEXT() do { if (next >= end) return x ^ y; goto *labels[*next++ & 7]; } while (0)
    NEXT();
op_increment: x++; NEXT();
op_double: x += x + y; NEXT();
op_mix: x ^= x >> 11; y += x; NEXT();
op_swap: { uint64_t kept = x; x = y; y = kept; } NEXT();
op_branch: if (x & 1) next++; NEXT();
op_table: table[x & 15] += y; x += table[(x >> 4) & 15]; NEXT();
op_second: y = y * 3 + 1; NEXT();
op_exchange: y ^= x << 7; NEXT();
#undef NEXT
}

} // namespace

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 1500), seed = 77, sum = 0;
    static unsigned char choices[8192];
    for (auto &choice : choices) choice = static_cast<unsigned char>(random_next(&seed) >> 40);
    for (int i = 0; i < shapeCount; i++) {
        int index = i / 4;
        Shape *kinds[4] = {&rectangles[index], &triangles[index], &disks[index], &squares[index]};
        shapes[i] = kinds[choices[i] & 3];
        for (Shape *kind : kinds) kind->width = 3 + index, kind->height = 5 + choices[index];
    }
    for (uint64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < 8; i++) sum = fold(sum, virtual_calls());
        sum = fold(sum, function_pointers(sum, choices, sizeof choices));
        sum = fold(sum, dense_switch(sum, choices, sizeof choices));
        sum = fold(sum, threaded_code(sum, choices, sizeof choices));
        choices[round % sizeof choices] ^= static_cast<unsigned char>(sum);
    }
    return report("dispatch", sum);
}
