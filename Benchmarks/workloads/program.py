"""Prints a C file of 5,000 lines or more, which needs no headers: functions of many kinds, all different, for a compiler to work on."""
import random
import sys

TEMPLATES = [
    """
static unsigned long hash_{n}(const unsigned char *text, unsigned long length) {{
    unsigned long value = {a}ul;
    for (unsigned long i = 0; i < length; i++) {{
        value ^= text[i];
        value *= {b}ul;
        value = (value << {s}) | (value >> (64 - {s}));
    }}
    if (length > {c}) value ^= hash_mix(value, length);
    return value;
}}
""",
    """
struct node_{n} {{ struct node_{n} *left, *right; long key; double weight; int counts[{c}]; }};
static struct node_{n} *insert_{n}(struct node_{n} *tree, struct node_{n} *fresh) {{
    struct node_{n} **place = &tree;
    while (*place) {{
        if (fresh->key == (*place)->key) {{
            for (int i = 0; i < {c}; i++) (*place)->counts[i] += fresh->counts[i];
            (*place)->weight += fresh->weight * {f};
            return tree;
        }}
        place = fresh->key < (*place)->key ? &(*place)->left : &(*place)->right;
    }}
    *place = fresh;
    fresh->left = fresh->right = 0;
    return tree;
}}
static double weigh_{n}(const struct node_{n} *tree, int depth) {{
    if (!tree || depth > {s}) return 0.0;
    double sum = tree->weight / (depth + 1);
    sum += weigh_{n}(tree->left, depth + 1);
    sum += weigh_{n}(tree->right, depth + 1);
    return sum;
}}
""",
    """
static int scan_{n}(const char *text, long *values, int most) {{
    int count = 0, state = 0, sign = 1;
    long value = 0;
    for (; *text && count < most; text++) {{
        switch (state) {{
        case 0:
            if (*text == '-') {{ sign = -1; state = 1; }}
            else if (*text >= '0' && *text <= '9') {{ value = *text - '0'; state = 2; }}
            else if (*text == '#') state = 3;
            break;
        case 1:
            if (*text >= '0' && *text <= '9') {{ value = *text - '0'; state = 2; }}
            else {{ sign = 1; state = 0; }}
            break;
        case 2:
            if (*text >= '0' && *text <= '9') value = value * 10 + (*text - '0');
            else {{
                values[count++] = sign * value % {a};
                sign = 1;
                state = *text == '#' ? 3 : 0;
            }}
            break;
        default:
            if (*text == '\\n') state = 0;
            else if (*text == {d}) return -count;
        }}
    }}
    return count;
}}
""",
    """
static void multiply_{n}(double *restrict out, const double *restrict a, const double *restrict b, int size) {{
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {{
            double sum = 0.0;
            for (int k = 0; k < size; k++) sum += a[i * size + k] * b[k * size + j];
            out[i * size + j] = sum > {f} ? sum : sum * {f} - {c}.0;
        }}
}}
static void smooth_{n}(float *row, int length, int rounds) {{
    while (rounds-- > 0) {{
        float before = row[0];
        for (int i = 1; i + 1 < length; i++) {{
            float here = row[i];
            row[i] = before * 0.25f + here * 0.5f + row[i + 1] * 0.25f;
            before = here;
        }}
    }}
}}
""",
    """
enum {{ push_{n} = {c}, add_{n}, times_{n}, less_{n}, jump_{n}, jump_if_{n}, load_{n}, store_{n}, end_{n} }};
static long execute_{n}(const int *code, long *memory) {{
    long stack[{s} + 8], *top = stack;
    for (int at = 0;;) {{
        switch (code[at++]) {{
        case push_{n}: *top++ = code[at++]; break;
        case add_{n}: top--; top[-1] += top[0]; break;
        case times_{n}: top--; top[-1] *= top[0]; break;
        case less_{n}: top--; top[-1] = top[-1] < top[0]; break;
        case jump_{n}: at = code[at]; break;
        case jump_if_{n}: at = *--top ? code[at] : at + 1; break;
        case load_{n}: top[-1] = memory[top[-1] & {m}]; break;
        case store_{n}: top -= 2; memory[top[0] & {m}] = top[1]; break;
        default: return top > stack ? top[-1] : {a};
        }}
    }}
}}
""",
    """
static void sort_{n}(long *values, long count) {{
    while (count > {c}) {{
        long pivot = values[count / 2], low = 0, high = count - 1;
        while (low <= high) {{
            while (values[low] < pivot) low++;
            while (values[high] > pivot) high--;
            if (low <= high) {{
                long kept = values[low];
                values[low++] = values[high];
                values[high--] = kept;
            }}
        }}
        if (high + 1 < count - low) {{
            sort_{n}(values, high + 1);
            values += low;
            count -= low;
        }} else {{
            sort_{n}(values + low, count - low);
            count = high + 1;
        }}
    }}
    for (long i = 1; i < count; i++)
        for (long j = i; j > 0 && values[j - 1] > values[j]; j--) {{
            long kept = values[j];
            values[j] = values[j - 1];
            values[j - 1] = kept;
        }}
}}
""",
]

chance = random.Random(11)
lines, number, calls = [], 0, []
text = "static unsigned long hash_mix(unsigned long a, unsigned long b) { return (a ^ (b >> 29)) * 0x9e3779b97f4a7c15ul; }\n"
lines = text.count("\n")
parts = [text]
least = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
while lines + number + 5 < least:
    kind = number % len(TEMPLATES)
    part = TEMPLATES[kind].format(
        n=number, a=chance.randrange(1000, 1 << 30), b=chance.randrange(1 << 30) * 2 + 1, s=chance.randrange(3, 60),
        c=chance.randrange(4, 30), d=chance.randrange(33, 126), f=round(chance.random() * 9, 3), m=(1 << chance.randrange(4, 9)) - 1)
    parts.append(part)
    lines += part.count("\n")
    calls.append([
        f"result += hash_{number}(bytes, words[{number} & 63]);",
        f"{{ struct node_{number} one = {{ .key = words[1], .weight = reals[2] }}, two = {{ .key = words[3] }};"
        f" result += weigh_{number}(insert_{number}(insert_{number}(0, &one), &two), 0); }}",
        f"result += scan_{number}((const char *)bytes, words, {number} & 63);",
        f"multiply_{number}(reals, reals + 64, reals + 128, 8); smooth_{number}(floats, {number % 50 + 3}, 2);",
        f"result += execute_{number}(codes, words);",
        f"sort_{number}(words, {number % 60 + 4});",
    ][kind])
    number += 1
parts.append("\nlong everything(unsigned char *bytes, long *words, double *reals, float *floats, int *codes) {\n    long result = 0;\n")
parts += [f"    {call}\n" for call in calls]
parts.append("    return result;\n}\n")
sys.stdout.write("".join(parts))
