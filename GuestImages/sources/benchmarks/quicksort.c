// Quick, heap and merge sort of the same random arrays; the three must agree.
#include "../benchmark.h"

enum { length = 100000 };
static int32_t input[length], quick[length], heap[length], merged[length], scratch[length];

static void insertion_sort(int32_t *values, long count) {
    for (long i = 1; i < count; i++) {
        int32_t value = values[i];
        long j = i;
        for (; j > 0 && values[j - 1] > value; j--) values[j] = values[j - 1];
        values[j] = value;
    }
}

static void quick_sort(int32_t *values, long count) {
    while (count > 16) {
        int32_t first = values[0], middle = values[count / 2], last = values[count - 1];
        int32_t low = first < middle ? first : middle, high = first < middle ? middle : first;
        int32_t pivot = last < low ? low : last > high ? high : last;
        long i = 0, j = count - 1;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) {
                int32_t kept = values[i];
                values[i++] = values[j];
                values[j--] = kept;
            }
        }
        if (j + 1 < count - i) {
            quick_sort(values, j + 1);
            values += i, count -= i;
        } else {
            quick_sort(values + i, count - i);
            count = j + 1;
        }
    }
    insertion_sort(values, count);
}

static void sift_down(int32_t *values, long root, long count) {
    int32_t value = values[root];
    for (;;) {
        long child = 2 * root + 1;
        if (child >= count) break;
        if (child + 1 < count && values[child + 1] > values[child]) child++;
        if (values[child] <= value) break;
        values[root] = values[child];
        root = child;
    }
    values[root] = value;
}

static void heap_sort(int32_t *values, long count) {
    for (long root = count / 2 - 1; root >= 0; root--) sift_down(values, root, count);
    for (long end = count - 1; end > 0; end--) {
        int32_t largest = values[0];
        values[0] = values[end];
        values[end] = largest;
        sift_down(values, 0, end);
    }
}

static void merge_sort(int32_t *values, long count) {
    if (count < 24) {
        insertion_sort(values, count);
        return;
    }
    long half = count / 2, i = 0, j = half, out = 0;
    merge_sort(values, half);
    merge_sort(values + half, count - half);
    memcpy(scratch, values, (size_t)half * sizeof *values);
    while (i < half && j < count) values[out++] = scratch[i] <= values[j] ? scratch[i++] : values[j++];
    while (i < half) values[out++] = scratch[i++];
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 20), seed = 4711, sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (long i = 0; i < length; i++) input[i] = (int32_t)(random_next(&seed) >> 32);
        memcpy(quick, input, sizeof input);
        memcpy(heap, input, sizeof input);
        memcpy(merged, input, sizeof input);
        quick_sort(quick, length);
        heap_sort(heap, length);
        merge_sort(merged, length);
        require(!memcmp(quick, heap, sizeof quick) && !memcmp(quick, merged, sizeof quick), "the sorts agree");
        for (long i = 0; i < length; i += 97) sum = fold(sum, (uint32_t)quick[i]);
    }
    return report("quicksort", sum);
}
