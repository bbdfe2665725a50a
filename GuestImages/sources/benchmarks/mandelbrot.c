// The Mandelbrot set in double and in single precision; the checksum covers every pixel's count.
#include "../benchmark.h"

enum { maximumSteps = 200 };

static int escape_double(double real, double imaginary) {
    double x = 0, y = 0, xx = 0, yy = 0;
    int step = 0;
    for (; step < maximumSteps && xx + yy <= 4.0; step++) {
        y = 2 * x * y + imaginary;
        x = xx - yy + real;
        xx = x * x;
        yy = y * y;
    }
    return step;
}

static int escape_float(float real, float imaginary) {
    float x = 0, y = 0, xx = 0, yy = 0;
    int step = 0;
    for (; step < maximumSteps && xx + yy <= 4.0f; step++) {
        y = 2 * x * y + imaginary;
        x = xx - yy + real;
        xx = x * x;
        yy = y * y;
    }
    return step;
}

int main(int count, char **arguments) {
    int rows = (int)iterations(count, arguments, 1400), columns = 640;
    uint64_t sum = 0;
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++) {
            double real = -2.0 + 3.0 * column / columns, imaginary = -1.2 + 2.4 * row / rows;
            int first = escape_double(real, imaginary), second = escape_float((float)real, (float)imaginary);
            sum = fold(sum, (uint64_t)(first * 256 + second));
        }
    return report("mandelbrot", sum);
}
